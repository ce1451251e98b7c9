import {
  type CipherKey,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { z } from 'zod';
import { keyBytes, type LookupKeys, lookupFile, lookupKeys } from './lookup-keys.ts';

/** The installation's secret keys: some wrap data keys, others are the root of all keyed hashes. Both can rotate. */
export type Keyring = {
  currentKeyId: string;
  wrappingKeys: ReadonlyMap<string, KeyObject>;
  lookup: Pick<LookupKeys, 'current' | 'versions' | 'retired'>;
  hash: LookupKeys['hash'];
};

/**
 * Reads a keyring file: `{"current": "k1", "keys": {"k1": "<32 bytes, base64>"}, "lookup": "<32 bytes, base64>"}`, or with
 * versions of the lookup key: `"lookup": {"current": 2, "keys": {"1": "…", "2": "…"}, "retired": [1]}`.
 * @throws Error naming the field that is wrong, never its value
 */
export function parseKeyring(json: string): Keyring {
  const { current, keys, lookup } = readKeyringFile(json);
  const { hash, ...versions } = lookupKeys(lookup);
  return {
    currentKeyId: current,
    wrappingKeys: new Map(Object.entries(keys).map(([id, key]) => [id, createSecretKey(key)])),
    lookup: versions,
    hash,
  };
}

/** The file as data. @throws Error as {@link parseKeyring} */
export function readKeyringFile(json: string): z.output<typeof keyringFile> {
  const file = keyringFile.safeParse(parseJson(json), { error: inOurWords });
  if (file.success) return file.data;
  const problems = file.error.issues.map((issue) => `${issue.path.join('.') || 'file'}: ${issue.message}`);
  throw new Error(`the keyring file is not usable: ${problems.join('; ')}`);
}

/** A fresh keyring file with one wrapping key. Losing it makes every sealed recipient unreadable. */
export function createKeyringFile(keyId: string): string {
  const key = () => randomBytes(32).toString('base64');
  return `${JSON.stringify({ current: keyId, keys: { [keyId]: key() }, lookup: key() }, null, 2)}\n`;
}

/**
 * AES-256-GCM: one version byte, 12 bytes nonce, 16 bytes tag, then the ciphertext. `context` is bound to it:
 * a sealed value copied to another row does not open.
 */
export function seal(key: CipherKey, plaintext: Uint8Array, context: string): Buffer {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return Buffer.concat([Buffer.of(1), nonce, cipher.getAuthTag(), ciphertext]);
}

/** @throws Error when the key, the context or a single bit differs from what was sealed */
export function unseal(key: CipherKey, sealed: Uint8Array, context: string): Buffer {
  if (sealed[0] !== 1) throw new Error(`sealed with format ${sealed[0]}, which this version does not read`);
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 13)).setAAD(Buffer.from(context));
  decipher.setAuthTag(sealed.subarray(13, 29));
  return Buffer.concat([decipher.update(sealed.subarray(29)), decipher.final()]);
}

/** For what the schema has no words of its own for. */
function inOurWords({ code, input }: { code?: string; input?: unknown }): string {
  if (input === undefined) return 'is missing';
  return code === 'unrecognized_keys' ? 'has a field that no keyring has' : 'is not what a keyring has there';
}

const keyringFile = z
  .strictObject({ current: z.string().min(1), keys: z.record(z.string(), keyBytes), lookup: lookupFile })
  .refine((file) => file.current in file.keys, { path: ['current'], message: 'names no key of "keys"' });

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new Error('the keyring file is not JSON');
  }
}
