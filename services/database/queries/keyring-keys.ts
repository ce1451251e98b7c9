import { type Kysely, sql } from 'kysely';
import type { Database, KeyringKeysTable, RecipientsTable } from '../schema.ts';

export type KnownKey = Pick<KeyringKeysTable, 'use' | 'name' | 'check_value'>;

/** The keys that this database was used with. One process at a time: of two that are the first, the second must see it. */
export async function holdKeyringKeys(transaction: Kysely<Database>): Promise<KnownKey[]> {
  await sql`lock table keyring_keys in share row exclusive mode`.execute(transaction);
  return await transaction.selectFrom('keyring_keys').select(['use', 'name', 'check_value']).execute();
}

export async function addKeyringKeys(
  transaction: Kysely<Database>,
  keys: readonly KnownKey[],
): Promise<void> {
  if (keys.length > 0)
    await transaction
      .insertInto('keyring_keys')
      .values([...keys])
      .execute();
}

/** The last recipient that can still be read: what a keyring has to open where no key is known yet. */
export async function newestSealedRecipient(
  db: Kysely<Database>,
): Promise<Pick<RecipientsTable, 'id' | 'kind' | 'sealed' | 'wrapped_key' | 'keyring_key_id'> | undefined> {
  return await db
    .selectFrom('recipients')
    .select(['id', 'kind', 'sealed', 'wrapped_key', 'keyring_key_id'])
    .where('wrapped_key', 'is not', null)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
}
