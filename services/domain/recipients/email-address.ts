import { domainToASCII } from 'node:url';

/** An address that mail can be sent to, or a sentence that says what is the matter with the text. */
export type ReadAddress = { address: string } | { problem: string };

/**
 * Reads an address by RFC 5321: `a&b@`, `x=y@`, `o'hara+gift@`, quoted local parts, new and punycode domains. A domain in
 * another script comes back as its A-label, which is what mail servers look up. Quotes that are not needed are taken away:
 * `"ada"@example.com` is the mailbox of `ada@example.com`.
 */
export function readEmailAddress(text: string): ReadAddress {
  const at = text.lastIndexOf('@');
  if (text.trim() !== text) return { problem: 'has spaces around the address' };
  if (at < 0) return { problem: 'must be an e-mail address, such as ada@example.com' };
  const local = readLocalPart(text.slice(0, at));
  const domain = readDomain(text.slice(at + 1));
  if ('problem' in local) return local;
  if ('problem' in domain) return domain;
  const address = `${local.part}@${domain.part}`;
  return address.length > 254 ? { problem: 'has more than 254 characters' } : { address };
}

type Part = { part: string } | { problem: string };

const atom = "[\\w!#$%&'*+/=?^`{|}~-]+";
const dotAtom = new RegExp(`^${atom}(?:\\.${atom})*$`);
/** Without what would need a backslash, and without angle brackets, which SMTP clients refuse in any address. */
const quoted = /^"([ !#-;=?-[\]-~]+)"$/;

function readLocalPart(text: string): Part {
  if (text === '') return { problem: 'has nothing before the @' };
  if (text.length > 64) return { problem: 'has more than 64 characters before the @' };
  if (dotAtom.test(text)) return { part: text };
  const [, inner] = quoted.exec(text) ?? [];
  if (inner !== undefined) return { part: dotAtom.test(inner) ? inner : text };
  const rule = localPartRules.find(([pattern]) => pattern.test(text));
  return { problem: rule?.[1] ?? 'has a character before the @ that can only stand between quotes' };
}

const localPartRules: readonly (readonly [RegExp, string])[] = [
  [
    /[^\0-\x7F]/,
    'has a character before the @ that is not ASCII (SMTPUTF8), which few mail servers take: use the ASCII address of this mailbox',
  ],
  [/^"|"$/, 'has a quoted local part that is not closed, or holds a quote, a backslash, < or >'],
  [/^\.|\.$|\.\./, 'has a dot at the beginning or end of what is before the @, or two in a row'],
  [/\s/, 'has a space before the @'],
];

const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const hostName = new RegExp(`^(?=.{1,253}$)(?:${label}\\.)+[a-z][a-z0-9-]*[a-z0-9]$`, 'i');

function readDomain(text: string): Part {
  if (text === '') return { problem: 'has nothing after the @' };
  if (text.startsWith('[')) return { problem: 'names a mail server by its IP address; use its domain' };
  // Before it is encoded, which reads a domain as part of a URL: what follows a / or # is dropped, and %2e is a dot.
  const isName = !/[\0-,/:-@[-`{-\x7F]/.test(text);
  const ascii = /^[\0-\x7F]*$/.test(text);
  // Also for A-labels: what decodes to nothing is no domain, and would fail at the mail server only.
  const encoded = isName && (!ascii || /xn--/i.test(text)) ? domainToASCII(text) : text;
  if (!isName || !hostName.test(encoded) || encoded.split('.').some((part) => part.length > 63)) {
    return { problem: 'has no valid domain after the @, such as example.com' };
  }
  return { part: ascii ? text : encoded };
}
