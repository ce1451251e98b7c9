import type { Kysely } from 'kysely';
import { insertApiKey } from '../../database/queries/api-keys.ts';
import type { Database } from '../../database/schema.ts';
import type { Role } from '../../database/states.ts';
import { type ApiKeyId, newId, newUuid, type SenderId, toUuid } from '../ids.ts';
import type { Keyring } from '../recipients/keyring.ts';
import { mintApiKey, type Scope } from './api-key.ts';

export type ApiKeyDraft = {
  senderId: SenderId;
  name: string;
  roles: Role[];
  /** null: all that the roles allow */
  scopes: Scope[] | null;
  expiresAt: Date | null;
};

/** Creates a key and answers its secret, which nothing can tell again: only its keyed hash is stored. */
export async function createApiKey(
  db: Kysely<Database>,
  deps: { keyring: Keyring },
  draft: ApiKeyDraft,
): Promise<{ id: ApiKeyId; prefix: string; key: string }> {
  const id = newId('key');
  const { prefix, key } = mintApiKey();
  await insertApiKey(db, {
    id: toUuid(id),
    sender_id: toUuid(draft.senderId),
    name: draft.name,
    prefix,
    secret_hash: deps.keyring.hash('api-key', key),
    lookup_version: deps.keyring.lookup.current,
    roles: draft.roles,
    scopes: draft.scopes,
    expires_at: draft.expiresAt,
    auditId: newUuid(),
  });
  return { id, prefix, key };
}
