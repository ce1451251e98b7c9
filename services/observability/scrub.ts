/**
 * The last line before a text leaves the process (log, span): removes what looks like personal data or a secret.
 * Redaction by schema position comes first; this is for text that others wrote, such as an SMTP server's refusal,
 * which quotes the address.
 *
 * Every expression runs in linear time on any input: a class is either bounded, or consumed from its very beginning
 * (guarded by a look-behind), or matched as whole tokens.
 */
export function scrubText(text: string): string {
  if (!SUSPECT.test(text)) return text;
  let scrubbed = text;
  for (const { pattern, replacement } of RULES) scrubbed = scrubbed.replace(pattern, replacement);
  return scrubAddresses(scrubbed);
}

interface ScrubRule {
  readonly what: string;
  readonly pattern: RegExp;
  readonly replacement: string;
}

/** In order: a credential is taken whole before a later rule sees a part of it. */
const RULES: readonly ScrubRule[] = [
  {
    // Not an all-lower-case word: "Basic authentication is off" has to stay readable.
    what: 'an Authorization value',
    pattern: /\b([Bb]earer|[Bb]asic|BEARER|BASIC)\s+(?=[a-z]*[^a-z\s"',;])[^\s"',;]{6,}/g,
    replacement: '$1 [token]',
  },
  { what: 'a JSON web token', pattern: /(?<![\w-])eyJ[\w-]*\.[\w-]+(?:\.[\w-]*)?/g, replacement: '[token]' },
  { what: 'an API key', pattern: /lgk_[\w~.+/=-]+/gi, replacement: '[api_key]' },
  {
    what: 'the token of a claim link',
    pattern: /(\/claim(?:\/|%2F))[^\s/?#"'<>&]+/gi,
    replacement: '$1[token]',
  },
  {
    what: 'a voucher code, as shown',
    pattern: /(?<![0-9a-z])[0-9a-z]{5}(?:[-\u2010-\u2015][0-9a-z]{5}){3}[-\u2010-\u2015][0-9a-z*~$=]/gi,
    replacement: '[code]',
  },
  {
    // Upper case and with a digit: 21 mixed characters are a nanoid, 21 letters are a word.
    what: 'a voucher code, typed without its dashes',
    pattern: /(?<![0-9A-Z])(?=[A-Z]{0,20}[0-9])[0-9A-Z]{20}[0-9A-Z*~$=](?![0-9A-Z])/g,
    replacement: '[code]',
  },
  {
    what: 'a wallet address, a signature or a private key',
    pattern: /0x[0-9a-f]{40,}/gi,
    replacement: '[wallet]',
  },
  { what: 'the credentials in a URL', pattern: /:\/\/[^\s/@]+@/g, replacement: '://[credentials]@' },
  {
    what: 'an address with a quoted local part',
    pattern: /"[^"\n]{1,64}"(?:@|%40)[^\s<>()[\],;:"]+/g,
    replacement: '[email]',
  },
];

/** One pass that tells nearly every line: there is nothing to look for. */
const SUSPECT =
  /[@\uFF20]|%40|0x[0-9a-f]{40}|lgk_|eyJ|\/claim|Bearer|Basic|[0-9a-z]{5}[-\u2010-\u2015][0-9a-z]|[0-9A-Z]{20}/i;

const TOKEN = /[^\s<>()[\],;:"\\]+/g;

/** A local part is whatever stands before the sign; a path to a scoped npm package (`/@scope/`) has none. */
const ADDRESS = /[^/](?:[@\uFF20]|%40)./i;

/** Whole tokens go: where exactly a local part begins (`o'hara+x=y@…`) is a question that better has no wrong answer. */
function scrubAddresses(text: string): string {
  return text.replace(TOKEN, (token) => (ADDRESS.test(token) ? '[email]' : token));
}
