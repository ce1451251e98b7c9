import type { Kysely } from 'kysely';
import { setApiKeyRevoked } from '../../database/queries/api-keys.ts';
import type { Database } from '../../database/schema.ts';
import { newUuid } from '../ids.ts';

/**
 * Ends a key for good; once more changes nothing, and answers when it was first. A running API may honour the key for the
 * few seconds that it remembers keys.
 * @returns undefined when no key has the prefix
 */
export async function revokeApiKey(
  db: Kysely<Database>,
  prefix: string,
): Promise<{ revokedAt: Date } | undefined> {
  const revokedAt = await setApiKeyRevoked(db, prefix, newUuid());
  return revokedAt && { revokedAt };
}
