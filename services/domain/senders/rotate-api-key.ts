import type { Kysely } from 'kysely';
import { rotateApiKeyRow } from '../../database/queries/api-keys.ts';
import type { Database } from '../../database/schema.ts';
import { type ApiKeyId, fromUuid, newId, newUuid, type SenderId, toUuid } from '../ids.ts';
import type { Keyring } from '../recipients/keyring.ts';
import { mintApiKey } from './api-key.ts';

export type RotatedKey = {
  id: ApiKeyId;
  prefix: string;
  /** the whole new key: nothing can tell it again */
  key: string;
  senderId: SenderId;
  oldExpiresAt: Date;
};

/**
 * A new key in the place of an old one, which goes on working for the grace period.
 * @returns undefined when there is no key with this prefix that is in use
 */
export async function rotateApiKey(
  db: Kysely<Database>,
  deps: { keyring: Keyring },
  asked: { prefix: string; graceSeconds: number },
): Promise<RotatedKey | undefined> {
  const id = newId('key');
  const { prefix, key } = mintApiKey();
  const { hash, lookup } = deps.keyring;
  const successor = {
    id: toUuid(id),
    prefix,
    secret_hash: hash('api-key', key),
    lookup_version: lookup.current,
  };
  const auditIds: [string, string] = [newUuid(), newUuid()];
  const old = await rotateApiKeyRow(db, { ...asked, successor, auditIds });
  return (
    old && { id, prefix, key, senderId: fromUuid('sen', old.sender_id), oldExpiresAt: old.old_expires_at }
  );
}
