import { randomBytes } from 'node:crypto';
import { checkSymbol, encodeBase32, normaliseBase32 } from '../base32.ts';
import type { Keyring } from '../recipients/keyring.ts';

/** What a voucher row keeps of its code: neither column gives the code away without the keyring. */
export type CodeColumns = { salt: Buffer; hash: Buffer };

/**
 * The salt ends in the version of the lookup key, which version 1 does without: a code that somebody has in hand must
 * stay what it is when the key is rotated.
 */
export function mintCode(keyring: Keyring): CodeColumns {
  const salt = Buffer.concat([randomBytes(randomSaltBytes), versionBytes(keyring.lookup.current)]);
  return { salt, hash: hashCode(keyring, codeOf(keyring, salt), versionOf(salt)) };
}

/** The code itself, `XXXXX-XXXXX-XXXXX-XXXXX-X`: 100 bits and a check symbol. Show it once, keep it nowhere. */
export function codeOf(keyring: Keyring, salt: Uint8Array): string {
  const symbols = encodeBase32(keyring.hash('voucher-code', salt, versionOf(salt)), 100);
  return `${symbols.match(/.{5}/g)?.join('-')}-${checkSymbol(symbols)}`;
}

/** What a typed code is looked up by, under each version of the lookup key that the keyring knows. */
export function hashCode(keyring: Keyring, code: string, version?: number): Buffer {
  return keyring.hash('voucher-code-hash', normaliseBase32(code), version);
}

const randomSaltBytes = 16;

function versionBytes(version: number): Buffer {
  return version === 1 ? Buffer.of() : Buffer.of(version >> 8, version & 0xff);
}

function versionOf(salt: Uint8Array): number {
  const [high = 0, low = 1] = salt.subarray(randomSaltBytes);
  return (high << 8) | low;
}
