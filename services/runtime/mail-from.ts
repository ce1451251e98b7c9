import { domainToASCII } from 'node:url';

/** The sender of all mails. The domain is in ASCII, whatever letters it is shown in. */
export type MailFrom = { name: string; address: string; domain: string };

/**
 * `gifts@example.com`, `Gifts <gifts@example.com>` or `"Gifts, Inc." <gifts@example.com>`. The name may hold any punctuation:
 * it is taken apart here, once, and goes into the header as a value of its own.
 *
 * @returns a sentence when it can't be a sender
 */
export function parseMailFrom(text: string): MailFrom | { problem: string } {
  const [, quoted = '', bracketed] = /^([^<>]*)<([^<>]+)>\s*$/.exec(text) ?? [];
  const address = (bracketed ?? text).trim();
  const name = unquote(quoted.trim());
  if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text))
    return { problem: 'holds a line break or another control character' };
  // Mail programs decode such words, quoted or not: what is shown would be another name than this one.
  if (name.includes('=?'))
    return { problem: 'has a name with =? in it, which mail programs take for encoded text' };
  if (/\p{Bidi_Control}/u.test(name))
    return { problem: 'has a name that turns the direction of writing, so that it reads as another' };
  if (name.length > 200) return { problem: 'has a name of more than 200 characters' };
  const at = address.lastIndexOf('@');
  const local = at > 0 ? address.slice(0, at) : '';
  if (!/^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}$/.test(local) || /^\.|\.\.|\.$/.test(local)) {
    return { problem: 'needs an address whose part before the @ is made of ASCII letters, digits and .-_+' };
  }
  const written = address.slice(at + 1);
  // It would be read as part of a URL, of which a path or a port is dropped: a mistyped address must not become another.
  const domain = /[\0-,/:-@[-`{-\x7F]/.test(written) ? '' : domainToASCII(written);
  if (!/^(?=.{1,253}$)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*$/.test(domain)) {
    return { problem: 'needs an address with a domain after the @' };
  }
  return { name, address: `${local}@${domain}`, domain };
}

function unquote(name: string): string {
  const inner = /^"((?:[^"\\]|\\.)*)"$/.exec(name)?.[1];
  return inner === undefined ? name : inner.replaceAll(/\\(.)/g, '$1');
}
