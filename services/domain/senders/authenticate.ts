import type { ApiKeyRow } from '../../database/queries/api-keys.ts';
import { DomainError } from '../errors.ts';
import { fromUuid } from '../ids.ts';
import type { Keyring } from '../recipients/keyring.ts';
import { looksLikeApiKey, type Principal, type Scope } from './api-key.ts';

export type AuthenticateDeps = {
  findKey: (secretHash: Buffer) => Promise<ApiKeyRow | undefined>;
  /** Stores a hash under the current version of the lookup key. Never rejects: the old one still serves. */
  renewHash: (key: { id: string; secretHash: Buffer; lookupVersion: number }) => Promise<void>;
  keyring: Keyring;
};

/**
 * Whose key this is. Looked up by its keyed hash, so that no comparison of secrets takes time that could be measured.
 * @throws DomainError `unauthenticated`
 */
export async function authenticate(deps: AuthenticateDeps, key: string): Promise<Principal> {
  const found = looksLikeApiKey(key) ? await findUnderAnyVersion(deps, key) : undefined;
  if (!found) throw new DomainError('unauthenticated', 'the API key is not known');
  for (const rule of refusals) {
    const reason = rule(found);
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

/**
 * A key is hashed anew when it is used, so that a version of the lookup key falls out of use by itself. Upward only:
 * beside a process whose current version is still the older one, the two would write the row in turns.
 */
async function findUnderAnyVersion(
  { findKey, renewHash, keyring }: AuthenticateDeps,
  key: string,
): Promise<ApiKeyRow | undefined> {
  for (const version of keyring.lookup.versions) {
    const found = await findKey(keyring.hash('api-key', key, version));
    if (found === undefined) continue;
    const lookupVersion = keyring.lookup.current;
    if (version < lookupVersion) {
      await renewHash({ id: found.id, secretHash: keyring.hash('api-key', key), lookupVersion });
    }
    return found;
  }
  return undefined;
}

/** Told to holders of the right secret only, so each may say plainly what is wrong. */
const refusals: ((key: ApiKeyRow) => string | null)[] = [
  (key) => (key.revoked_at === null ? null : 'the API key was revoked'),
  // By the steady clock: the wall clocks of processes differ, and each would end a key at a time of its own.
  ({ ends_at_ms: endsAtMs }) =>
    endsAtMs === null || endsAtMs > performance.now() ? null : 'the API key has expired',
  (key) => (key.sender_status === 'active' ? null : 'the sender of this API key is suspended'),
];
