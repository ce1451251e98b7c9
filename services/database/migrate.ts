import type { Kysely } from 'kysely';
import { type Migration, type MigrationResult, Migrator } from 'kysely/migration';
import { liftBounds } from './bounds.ts';
import { holdTables } from './hold-tables.ts';
import { migrations as shipped } from './migrations/index.ts';
import type { Database } from './schema.ts';

/**
 * Brings the schema to the newest version. Several processes may call it at once: one migrates, the others wait.
 * Each call is one transaction: a migration that fails leaves the schema as it was.
 *
 * @returns the migrations that ran now, in order; none when the schema was up to date
 * @throws MigrationFailedError naming the migration, with the database's error as its cause
 */
export async function migrate(
  db: Kysely<Database>,
  migrations: Record<string, Migration> = shipped,
): Promise<string[]> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => unhurried(migrations) } });
  const { error, results = [] } = await migrator.migrateToLatest();
  if (error !== undefined) throw new MigrationFailedError(failedMigration(results), error);
  return results.map((result) => result.migrationName);
}

/** A migration may take its time, whatever the role is given for serving: ended halfway, it would begin anew for ever. */
function unhurried(migrations: Record<string, Migration>): Record<string, Migration> {
  const entries = Object.entries(migrations).map(([name, migration]) => {
    const up: Migration['up'] = async (db) => {
      await liftBounds(db);
      await holdTables(db);
      await migration.up(db);
    };
    return [name, { ...migration, up }] as const;
  });
  return Object.fromEntries(entries);
}

/** Names of shipped migrations that the database has not seen: a process must not serve before there are none. */
export async function pendingMigrations(db: Kysely<Database>): Promise<string[]> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => shipped } });
  const known = await migrator.getMigrations();
  return known.filter((migration) => migration.executedAt === undefined).map((migration) => migration.name);
}

export class MigrationFailedError extends Error {
  readonly migration: string;

  constructor(migration: string, cause: unknown) {
    super(`migration ${migration} failed and was rolled back`, { cause });
    this.name = 'MigrationFailedError';
    this.migration = migration;
  }
}

function failedMigration(results: MigrationResult[]): string {
  return results.find((result) => result.status === 'Error')?.migrationName ?? '(could not start)';
}
