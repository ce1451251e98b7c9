import { isIPv4 } from 'node:net';
import { parse } from 'pg-connection-string';

/** Ways to reach a server that the address says in words, and that no one in between can turn into another one. */
const verified = 'verify-full';
const inWords: ReadonlySet<string> = new Set([verified, 'disable', 'no-verify']);

/**
 * Why an address of a database is not one that may be used, or null. Credentials and everybody's gifts travel on that way,
 * so it is encrypted and the server proves who it is, unless the address says otherwise in words. Modes that settle for less
 * when they are refused more (`prefer`, `allow`), and those whose meaning differs from one driver to the next, are no words.
 */
export function databaseUrlProblem(text: string): string | null {
  const address = read(text);
  if (typeof address === 'string') return address;
  const { host, sslmode, ssl, uselibpqcompat, twice } = address;
  if (twice !== undefined) return `has ${twice} more than once, and says two things: leave one of them`;
  if (uselibpqcompat !== undefined)
    return `has uselibpqcompat, which weakens what sslmode says: leave it out`;
  if (ssl !== undefined && sslmode === undefined)
    return `has ssl=…, which says too little: use sslmode=${verified}`;
  // The driver would fill it from PGHOST, which nobody has judged.
  if (host === '') return 'names no host';
  if (sslmode === undefined) return isHere(host) ? null : notEncrypted;
  if (inWords.has(sslmode) || (sslmode === 'verify-ca' && address.sslrootcert !== undefined)) return null;
  return `has sslmode=${sslmode}, which does not promise that the server is the right one: use ${verified}, or no-verify or disable to do without`;
}

const notEncrypted = `leads to another machine without saying how it is protected: add sslmode=${verified}, or sslmode=disable for a network that you trust`;

type Address = {
  host: string;
  sslmode?: string;
  ssl?: unknown;
  sslrootcert?: string;
  uselibpqcompat?: string;
  /** a parameter that is given again: the driver takes the last, other readers the first */
  twice?: string;
};

/** Parsed by the driver's own parser: what it connects to is judged, and not what the text looks like. */
function read(text: string): Address | string {
  const query = URL.parse(text)?.searchParams;
  try {
    const { host } = parse(withoutFiles(text));
    const given = (name: string) => query?.get(name) ?? undefined;
    const twice = [...(query?.keys() ?? [])].find((name, index, all) => all.indexOf(name) !== index);
    return {
      host: host ?? '',
      ...(twice === undefined ? {} : { twice }),
      ...Object.fromEntries(
        ['sslmode', 'ssl', 'sslrootcert', 'uselibpqcompat'].flatMap((name) => {
          const value = given(name);
          return value === undefined ? [] : [[name, value]];
        }),
      ),
    };
  } catch {
    return 'can not be read as the address of a database';
  }
}

/** The parser opens the files of certificates; whether they are there shows when they are used. */
function withoutFiles(text: string): string {
  const url = URL.parse(text);
  if (url === null) return text;
  for (const name of ['sslcert', 'sslkey', 'sslrootcert', 'sslmode', 'uselibpqcompat'])
    url.searchParams.delete(name);
  return url.href;
}

/** A socket in the file system, or this very machine. */
function isHere(host: string): boolean {
  if (host.startsWith('/') || host === 'localhost' || host === '::1') return true;
  return isIPv4(host) && host.startsWith('127.');
}
