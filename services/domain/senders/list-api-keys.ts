import type { Kysely } from 'kysely';
import { type ListedKeyRow, listApiKeyRows } from '../../database/queries/api-keys.ts';
import type { Database } from '../../database/schema.ts';
import type { Role } from '../../database/states.ts';
import { type ApiKeyId, fromUuid, type SenderId, toUuid } from '../ids.ts';

/** A key as everybody may see it: nothing of its secret. */
export type ListedKey = {
  id: ApiKeyId;
  prefix: string;
  senderId: SenderId;
  name: string;
  status: 'active' | 'expired' | 'revoked';
  roles: Role[];
  scopes: string[] | null;
  /** of the lookup key that its secret is hashed with */
  lookupVersion: number;
  expiresAt: Date | null;
  revokedAt: Date | null;
  createdAt: Date;
};

/** One page, newest first; the next begins after the last one's id. */
export async function listApiKeys(
  db: Kysely<Database>,
  filter: { senderId: SenderId | null },
  page: { limit: number; after: ApiKeyId | null },
): Promise<{ keys: ListedKey[]; next: ApiKeyId | null }> {
  const after = page.after === null ? null : toUuid(page.after);
  const senderId = filter.senderId === null ? null : toUuid(filter.senderId);
  const { rows, next } = await listApiKeyRows(db, { senderId }, { limit: page.limit, after, before: null });
  const keys = rows.map(toListedKey);
  return { keys, next: (next && keys.at(-1)?.id) || null };
}

function toListedKey(row: ListedKeyRow): ListedKey {
  return {
    id: fromUuid('key', row.id),
    prefix: row.prefix,
    senderId: fromUuid('sen', row.sender_id),
    name: row.name,
    status: row.status,
    roles: row.roles,
    scopes: row.scopes,
    lookupVersion: row.lookup_version,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    createdAt: row.created_at,
  };
}
