import {
  type CipherKey,
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { z } from 'zod';

/** The installation's secret keys: some wrap data keys and can rotate, one is the root of all keyed hashes. */
export type Keyring = {
  currentKeyId: string;
  wrappingKeys: ReadonlyMap<string, KeyObject>;
  /** keyed hash (HMAC-SHA-256, 32 bytes) for one purpose; hashes of two purposes never match */
  hash: (purpose: HashPurpose, data: string | Uint8Array) => Buffer;
};

export type HashPurpose =
  | 'blind-index'
  | 'api-key'
  | 'claim-token'
  | 'voucher-code'
  | 'voucher-code-hash'
  | 'request-fingerprint';

/**
 * Reads a keyring file: `{"current": "k1", "keys": {"k1": "<32 bytes, base64>"}, "lookup": "<32 bytes, base64>"}`.
 * @throws Error naming the field that is wrong, never its value
 */
export function parseKeyring(json: string): Keyring {
  const file = keyringFile.safeParse(parseJson(json));
  if (!file.success) {
    const problems = file.error.issues.map((issue) => `${issue.path.join('.') || 'file'}: ${issue.message}`);
    throw new Error(`the keyring file is not usable: ${problems.join('; ')}`);
  }
  const { current, keys, lookup } = file.data;
  const lookupKeys = new Map(hashPurposes.map((purpose) => [purpose, deriveKey(lookup, purpose)]));
  return {
    currentKeyId: current,
    wrappingKeys: new Map(Object.entries(keys).map(([id, key]) => [id, createSecretKey(key)])),
    hash: (purpose, data) =>
      createHmac('sha256', lookupKeys.get(purpose) as KeyObject)
        .update(data)
        .digest(),
  };
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

const hashPurposes: HashPurpose[] = [
  'blind-index',
  'api-key',
  'claim-token',
  'voucher-code',
  'voucher-code-hash',
  'request-fingerprint',
];

const keyBytes = z.base64().transform((text, context) => {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== 32) context.addIssue('needs exactly 32 bytes in base64 (openssl rand -base64 32)');
  return bytes;
});

const keyringFile = z
  .strictObject({ current: z.string().min(1), keys: z.record(z.string(), keyBytes), lookup: keyBytes })
  .refine((file) => file.current in file.keys, { path: ['current'], message: 'names no key of "keys"' });

function deriveKey(root: Buffer, purpose: HashPurpose): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', root, '', `largesse/${purpose}/v1`, 32)));
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new Error('the keyring file is not JSON');
  }
}
