import type { Kysely } from 'kysely';
import { pendingMigrations } from '../database/migrate.ts';
import type { Database } from '../database/schema.ts';

/** The schema is older than this program. */
export class DatabaseNotReadyError extends Error {
  override readonly name = 'DatabaseNotReadyError';
  readonly pending: readonly string[];

  constructor(pending: readonly string[]) {
    super('the database is not migrated: run `node dist/admin.js migrate` first');
    this.pending = pending;
  }
}

/** @throws DatabaseNotReadyError */
export async function assertMigrated(db: Kysely<Database>): Promise<void> {
  const pending = await pendingMigrations(db);
  if (pending.length > 0) throw new DatabaseNotReadyError(pending);
}
