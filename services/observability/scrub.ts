/**
 * The last line before a text leaves the process (log, span): removes what looks like personal data or a secret.
 * A request's body is redacted by its schema before (`redact`); this is for text that has none, such as an SMTP
 * server's refusal, which quotes the address.
 *
 * Every expression runs in linear time on any input: a class is either bounded, or consumed from its very beginning
 * (guarded by a look-behind), or matched as whole tokens.
 */
export function scrubText(text: string): string {
  if (!SUSPECT.test(text) && !SUSPECT_UPPER_CASE.test(text)) return text;
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
  { what: 'a claim token', pattern: /clt_[0-9a-z]+/gi, replacement: '[token]' },
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
    // Upper case only: four words of five letters in a row are English.
    what: 'a voucher code, typed with spaces',
    pattern: /(?<![0-9A-Z])[0-9A-Z]{5}(?: [0-9A-Z]{5}){3} [0-9A-Z*~$=]/g,
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
    what: 'an address at an IP address',
    pattern: /[^\s<>()[\],;:"\\]{1,64}(?:@|%40)\[[^\]\s]{1,64}\]/g,
    replacement: '[email]',
  },
  {
    what: 'an address with a quoted local part',
    pattern: /"[^"\n]{1,64}"(?:@|%40)[^\s<>()[\],;:"]+/g,
    replacement: '[email]',
  },
];

/** Two passes that tell of nearly every line: there is nothing to look for. Ids and trace ids pass both. */
const SUSPECT =
  /[@\uFF20]|%40|0x[0-9a-f]{40}|lgk_|clt_|eyJ|\/claim|Bearer|Basic|[0-9a-z]{5}[-\u2010-\u2015][0-9a-z]{5}/i;
const SUSPECT_UPPER_CASE = /[0-9A-Z]{20}|[0-9A-Z]{5} [0-9A-Z]{5} /;

const TOKEN = /[^\s<>()[\],;:"\\]+/g;

/** A scoped npm package, in a path or alone, which stack traces are full of. */
const SCOPED_PACKAGE = /(^|[/'`])@[\w.-]+\//g;

/** Whole tokens go: where exactly a local part begins (`o'hara+x=y@…`) is a question that better has no wrong answer. */
function scrubAddresses(text: string): string {
  return text.replace(TOKEN, (token) => (isAddress(token) ? '[email]' : token));
}

function isAddress(token: string): boolean {
  return /.(?:[@\uFF20]|%40)./i.test(token.replace(SCOPED_PACKAGE, '$1'));
}
