import { randomBytes } from 'node:crypto';
import { checkSymbol, encodeBase32, normaliseBase32 } from '../base32.ts';
import type { Keyring } from '../recipients/keyring.ts';

/** What a voucher row keeps of its code: neither column gives the code away without the keyring. */
export type CodeColumns = { salt: Buffer; hash: Buffer };

export function mintCode(keyring: Keyring): CodeColumns {
  const salt = randomBytes(16);
  return { salt, hash: hashCode(keyring, codeOf(keyring, salt)) };
}

/** The code itself, `XXXXX-XXXXX-XXXXX-XXXXX-X`: 100 bits and a check symbol. Show it once, keep it nowhere. */
export function codeOf(keyring: Keyring, salt: Uint8Array): string {
  const symbols = encodeBase32(keyring.hash('voucher-code', salt), 100);
  return `${symbols.match(/.{5}/g)?.join('-')}-${checkSymbol(symbols)}`;
}

/** What a typed code is looked up by. */
export function hashCode(keyring: Keyring, code: string): Buffer {
  return keyring.hash('voucher-code-hash', normaliseBase32(code));
}
