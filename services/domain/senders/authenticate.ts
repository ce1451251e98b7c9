import type { ApiKeyRow } from '../../database/queries/api-keys.ts';
import { DomainError } from '../errors.ts';
import { fromUuid } from '../ids.ts';
import type { Keyring } from '../recipients/keyring.ts';
import { looksLikeApiKey, type Principal, type Scope } from './api-key.ts';

/**
 * Whose key this is. Looked up by its keyed hash, so that no comparison of secrets takes time that could be measured.
 * @throws DomainError `unauthenticated`
 */
export async function authenticate(
  deps: { findKey: (secretHash: Buffer) => Promise<ApiKeyRow | undefined>; keyring: Keyring; now: Date },
  key: string,
): Promise<Principal> {
  const found = looksLikeApiKey(key) ? await deps.findKey(deps.keyring.hash('api-key', key)) : undefined;
  if (!found) throw new DomainError('unauthenticated', 'the API key is not known');
  for (const rule of refusals) {
    const reason = rule(found, deps.now);
    if (reason !== null) throw new DomainError('unauthenticated', reason);
  }
  return {
    senderId: fromUuid('sen', found.sender_id),
    apiKeyId: fromUuid('key', found.id),
    keyPrefix: found.prefix,
    roles: found.roles,
    scopes: found.scopes as Scope[] | null,
  };
}

/** Told to holders of the right secret only, so each may say plainly what is wrong. */
const refusals: ((key: ApiKeyRow, now: Date) => string | null)[] = [
  (key) => (key.revoked_at === null ? null : 'the API key was revoked'),
  (key, now) => (key.expires_at === null || key.expires_at > now ? null : 'the API key has expired'),
  (key) => (key.sender_status === 'active' ? null : 'the sender of this API key is suspended'),
];
