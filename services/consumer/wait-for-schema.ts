import { setTimeout as wait } from 'node:timers/promises';
import type { DatabaseClient } from '../database/client.ts';
import { pendingMigrations } from '../database/migrate.ts';
import { pingDatabase } from '../database/ping.ts';
import type { Logger } from '../observability/logger.ts';
import { loopPauseMs } from '../queue/backoff.ts';

/**
 * Resolves when the database can be written to and its schema is ours. A database that is late, or still being migrated, is waited for
 * and logged each time: a crash loop would say less and take longer.
 *
 * @throws the abort reason when `signal` aborts first
 */
export async function waitForSchema(
  { db }: DatabaseClient,
  deps: { log: Logger; signal: AbortSignal; random: () => number },
): Promise<void> {
  for (let failures = 1; ; failures += 1) {
    deps.signal.throwIfAborted();
    const problem = await findProblem(db);
    if (problem === null) return;
    const pauseMs = loopPauseMs(failures, deps.random);
    deps.log.warn('waiting for the database', { event: 'database_not_ready', ...problem, pause_ms: pauseMs });
    await wait(pauseMs, undefined, { signal: deps.signal });
  }
}

async function findProblem(db: DatabaseClient['db']): Promise<Record<string, unknown> | null> {
  try {
    const pending = await pendingMigrations(db);
    if (pending.length > 0) return { pending_migrations: pending };
    // A node that only reads has the schema, too.
    await pingDatabase(db);
    return null;
  } catch (error) {
    return { error };
  }
}
