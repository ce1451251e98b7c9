import { createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import { z } from 'zod';

/** The versions of the lookup key: root of all keyed hashes. Which one a hash is of is kept beside it, or in it. */
export type LookupKeys = {
  /** new hashes are made with this one */
  current: number;
  /** all that this process can hash with, the current one first */
  versions: readonly number[];
  /** of these, claim links are refused; everything else of them still holds */
  retired: ReadonlySet<number>;
  /** keyed hash (HMAC-SHA-256, 32 bytes) for one purpose; hashes of two purposes or two versions never match */
  hash: (purpose: HashPurpose, data: string | Uint8Array, version?: number) => Buffer;
};

export type HashPurpose = (typeof hashPurposes)[number];

const hashPurposes = [
  'blind-index',
  'api-key',
  'claim-token',
  'voucher-code',
  'voucher-code-hash',
  'request-fingerprint',
  'keyring-check',
] as const;

/** Two symbols of a claim link and two bytes of a salt hold it. */
export const highestLookupVersion = 1_023;

export const keyBytes = z.base64().transform((text, context) => {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== 32) context.addIssue('needs exactly 32 bytes in base64 (openssl rand -base64 32)');
  return bytes;
});

/** A bare key is version 1: so were all keyrings before there were versions, and they stay readable. */
export const lookupFile = z.preprocess(
  (lookup) => (typeof lookup === 'string' ? { current: 1, keys: { 1: lookup } } : lookup),
  z
    .strictObject({
      current: z.int().min(1).max(highestLookupVersion),
      keys: z.record(z.string().regex(/^[1-9]\d{0,3}$/, 'is not the number of a version'), keyBytes),
      retired: z.array(z.int()).default([]),
    })
    .refine((lookup) => lookup.current in lookup.keys, {
      path: ['current'],
      message: 'names no version of "keys"',
    })
    .refine((lookup) => !lookup.retired.includes(lookup.current), {
      path: ['retired'],
      message: 'names the current version',
    })
    .refine((lookup) => lookup.retired.every((version) => version in lookup.keys), {
      path: ['retired'],
      message: 'names a version that is not in "keys"',
    }),
);

export function lookupKeys({ current, keys, retired }: z.output<typeof lookupFile>): LookupKeys {
  const versions = Object.keys(keys).map(Number);
  const derived = new Map(
    Object.entries(keys).map(([version, root]) => [
      Number(version),
      new Map(hashPurposes.map((purpose) => [purpose, deriveKey(root, purpose)])),
    ]),
  );
  return {
    current,
    versions: [current, ...versions.filter((version) => version !== current).toReversed()],
    retired: new Set(retired),
    hash: (purpose, data, version = current) => {
      const key = derived.get(version)?.get(purpose);
      if (!key)
        throw new Error(`the keyring has no lookup key of version ${version}; put it back into "lookup"`);
      return createHmac('sha256', key).update(data).digest();
    },
  };
}

/** What each version is for in this process: what an operator compares before the next step of a rotation. */
export function usesOf(
  lookup: Pick<LookupKeys, 'current' | 'versions' | 'retired'>,
): { version: string; use: 'current' | 'retired' | 'known' }[] {
  return lookup.versions.map((version) => {
    if (version === lookup.current) return { version: String(version), use: 'current' };
    return { version: String(version), use: lookup.retired.has(version) ? 'retired' : 'known' };
  });
}

function deriveKey(root: Buffer, purpose: HashPurpose): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', root, '', `largesse/${purpose}/v1`, 32)));
}
