import type { DatabaseClient } from '../database/client.ts';
import { type Examination, examineDatabase } from '../database/examine.ts';
import { pendingMigrations } from '../database/migrate.ts';
import { pingDatabase } from '../database/ping.ts';

/** An answer serves everybody who asks within it: the question is public and must cost next to nothing. */
const answerForMs = 1_000;

/**
 * Whether the database does what serving needs and has every migration; that it has them is asked only until it does, and
 * what stands on the way to it is found out once.
 *
 * @returns the check. @throws Error when it does not answer, or naming the migrations that are missing
 */
export function databaseReadiness(
  client: DatabaseClient,
  onExamined: (examination: Examination) => void | Promise<void> = () => undefined,
): () => Promise<void> {
  let migrated = false;
  let answer = Promise.resolve();
  let askedAtMs = Number.NEGATIVE_INFINITY;
  const ask = async () => {
    if (!migrated) {
      const pending = await pendingMigrations(client.db);
      if (pending.length > 0) throw new Error(`migrations are missing: ${pending.join(', ')}`);
      await onExamined(await examineDatabase(client));
      migrated = true;
    }
    await pingDatabase(client.db);
  };
  return () => {
    if (performance.now() - askedAtMs >= answerForMs) {
      askedAtMs = performance.now();
      answer = ask();
    }
    return answer;
  };
}
