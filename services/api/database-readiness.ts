import type { Kysely } from 'kysely';
import { pendingMigrations } from '../database/migrate.ts';
import { pingDatabase } from '../database/ping.ts';
import type { Database } from '../database/schema.ts';

/** An answer serves everybody who asks within it: the question is public and must cost next to nothing. */
const answerForMs = 1_000;

/**
 * Whether the database answers and has every migration; that it has them is asked only until it does.
 *
 * @returns the check. @throws Error when it does not answer, or naming the migrations that are missing
 */
export function databaseReadiness(db: Kysely<Database>): () => Promise<void> {
  let migrated = false;
  let answer = Promise.resolve();
  let askedAtMs = Number.NEGATIVE_INFINITY;
  const ask = async () => {
    if (migrated) return await pingDatabase(db);
    const pending = await pendingMigrations(db);
    if (pending.length > 0) throw new Error(`migrations are missing: ${pending.join(', ')}`);
    migrated = true;
  };
  return () => {
    if (performance.now() - askedAtMs >= answerForMs) {
      askedAtMs = performance.now();
      answer = ask();
    }
    return answer;
  };
}
