import { createHmac } from 'node:crypto';
import type { Kysely } from 'kysely';
import {
  addKeyringKeys,
  holdKeyringKeys,
  type KnownKey,
  newestSealedRecipient,
} from '../../database/queries/keyring-keys.ts';
import type { Database } from '../../database/schema.ts';
import type { Keyring } from './keyring.ts';
import { openRecipient } from './recipient.ts';

/** The keyring is not the one that this database was used with. The message says which key tells so, and what to do. */
export class KeyringMismatch extends Error {
  override readonly name = 'KeyringMismatch';
}

/**
 * Notices a keyring that does not belong to this database before anything is sealed or hashed with it: recipients of before
 * could not be read, claim links and API keys of before would be refused, and nobody would know why. Keys that are new are
 * remembered, so that a rotation goes on as it did; one that left the keyring is no mismatch while another is known.
 *
 * @throws KeyringMismatch
 */
export async function checkKeyring(db: Kysely<Database>, keyring: Keyring): Promise<void> {
  const keys = checkValuesOf(keyring);
  await db.transaction().execute(async (transaction) => {
    const known = await holdKeyringKeys(transaction);
    const unlike = keys.find((key) => known.some((one) => isSameName(one, key) && !isSameKey(one, key)));
    if (unlike !== undefined) throw mismatch(`its ${unlike.use} key "${unlike.name}" is another one`);
    const strange = keys.filter((key) => !known.some((one) => isSameName(one, key)));
    if (known.length > 0 && strange.length === keys.length) throw mismatch('it has none of the keys');
    // A database of before keys were remembered: its recipients tell.
    if (known.length === 0) await openNewest(transaction, keyring);
    await addKeyringKeys(transaction, strange);
  });
}

async function openNewest(db: Kysely<Database>, keyring: Keyring): Promise<void> {
  const newest = await newestSealedRecipient(db);
  if (newest === undefined) return;
  try {
    openRecipient(keyring, newest);
  } catch {
    throw mismatch(`it does not open what was sealed with the key "${newest.keyring_key_id}"`);
  }
}

function mismatch(why: string): KeyringMismatch {
  return new KeyringMismatch(
    `the keyring is not the one that this database was used with: ${why}; put that keyring back, or use an empty database`,
  );
}

/** They tell a key from another one and nothing else of it: keyed hashes under keys of 32 random bytes. */
function checkValuesOf({ wrappingKeys, lookup, hash }: Keyring): KnownKey[] {
  return [
    ...[...wrappingKeys].map(([name, key]) => ({
      use: 'wrapping' as const,
      name,
      check_value: createHmac('sha256', key).update('largesse/keyring-check/v1').digest(),
    })),
    ...lookup.versions.map((version) => ({
      use: 'lookup' as const,
      name: String(version),
      check_value: hash('keyring-check', '', version),
    })),
  ];
}

function isSameName(one: KnownKey, other: KnownKey): boolean {
  return one.use === other.use && one.name === other.name;
}

function isSameKey(one: KnownKey, other: KnownKey): boolean {
  return one.check_value.equals(other.check_value);
}
