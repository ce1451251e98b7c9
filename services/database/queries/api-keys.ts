import type { Insertable, Kysely } from 'kysely';
import type { ApiKeysTable, Database } from '../schema.ts';
import type { Role } from '../states.ts';

export type ApiKeyRow = {
  id: string;
  sender_id: string;
  prefix: string;
  lookup_version: number;
  roles: Role[];
  scopes: string[] | null;
  expires_at: Date | null;
  revoked_at: Date | null;
  sender_status: 'active' | 'suspended';
};

/** The key with this keyed hash and its sender's status: one index probe each. */
export async function findApiKey(db: Kysely<Database>, secretHash: Buffer): Promise<ApiKeyRow | undefined> {
  return await db
    .selectFrom('api_keys')
    .innerJoin('senders', 'senders.id', 'api_keys.sender_id')
    .select([
      'api_keys.id',
      'api_keys.sender_id',
      'api_keys.prefix',
      'api_keys.lookup_version',
      'api_keys.roles',
      'api_keys.scopes',
      'api_keys.expires_at',
      'api_keys.revoked_at',
      'senders.status as sender_status',
    ])
    .where('api_keys.secret_hash', '=', secretHash)
    .executeTakeFirst();
}

export async function insertSender(
  db: Kysely<Database>,
  sender: { id: string; name: string; kind: 'person' | 'system' },
): Promise<void> {
  await db.insertInto('senders').values(sender).execute();
}

export async function insertApiKey(db: Kysely<Database>, key: Insertable<ApiKeysTable>): Promise<void> {
  await db.insertInto('api_keys').values(key).execute();
}

/** Puts a key's hash under a newer version of the lookup key; a process that knows more has the last word. */
export async function setApiKeyHash(
  db: Kysely<Database>,
  key: { id: string; secretHash: Buffer; lookupVersion: number },
): Promise<void> {
  await db
    .updateTable('api_keys')
    .set({ secret_hash: key.secretHash, lookup_version: key.lookupVersion })
    .where('id', '=', key.id)
    .where('lookup_version', '<', key.lookupVersion)
    .execute();
}

/** Keeps the time of the first revocation. @returns that time; undefined when no key has the prefix */
export async function setApiKeyRevoked(
  db: Kysely<Database>,
  prefix: string,
  at: Date,
): Promise<Date | undefined> {
  const row = await db
    .updateTable('api_keys')
    .set(({ fn, ref, val }) => ({ revoked_at: fn.coalesce(ref('revoked_at'), val(at)) }))
    .where('prefix', '=', prefix)
    .returning('revoked_at')
    .executeTakeFirst();
  return row?.revoked_at ?? undefined;
}
