import { type Kysely, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { liftBounds } from './bounds.ts';
import { holdTables } from './hold-tables.ts';
import { type SchemaMigration, migrations as shipped } from './migrations/index.ts';
import type { Database } from './schema.ts';

/**
 * Brings the schema to the newest version. Several processes may call it at once: one migrates, the others wait.
 * Each migration is one transaction, holds only the tables that it names, and works with the release before:
 * one that fails leaves the schema as it was before it, and the next call goes on from there.
 *
 * @returns the migrations that ran now, in order; none when the schema was up to date
 * @throws MigrationFailedError naming the migration, with the database's error as its cause
 */
export async function migrate(
  db: Kysely<Database>,
  migrations: Record<string, SchemaMigration> = shipped,
): Promise<string[]> {
  const ran: string[] = [];
  for (;;) {
    const next = await runNext(db, migrations);
    if (next === null) return ran;
    ran.push(next);
  }
}

/**
 * The lock of Kysely's migrators, those of the release before too, until the end of the transaction. They give theirs back
 * before, and to a session: one that stayed behind in a pooler's, or after a failure, would stop all upgrades.
 */
const migrationLock = sql.lit('3853314791062309107');

async function runNext(
  db: Kysely<Database>,
  migrations: Record<string, SchemaMigration>,
): Promise<string | null> {
  return await db.transaction().execute(async (trx) => {
    // It may take its time, whatever the role is given for serving: ended halfway, it would begin anew for ever.
    await liftBounds(trx);
    await sql`select pg_advisory_xact_lock(${migrationLock}::bigint)`.execute(trx);
    const provider = { getMigrations: async () => inTransaction(migrations) };
    const migrator = new Migrator({ db: trx, provider });
    // What a newer release has done besides is none of ours, and works with this one: going back to it must not fail.
    if ((await migrator.getMigrations()).every(({ executedAt }) => executedAt !== undefined)) return null;
    const { error, results = [] } = await migrator.migrateUp();
    const name = results[0]?.migrationName;
    if (error !== undefined) throw new MigrationFailedError(name ?? '(could not start)', error);
    return name ?? null;
  });
}

function inTransaction(migrations: Record<string, SchemaMigration>): Record<string, Migration> {
  const entries = Object.entries(migrations).map(([name, migration]) => {
    const up: Migration['up'] = async (db) => {
      // After a failure the migrator gives its lock back, for which the transaction must still take statements.
      await sql`savepoint migration`.execute(db);
      try {
        await holdTables(db, migration);
        await migration.up(db);
      } catch (error) {
        await sql`rollback to savepoint migration`.execute(db);
        throw error;
      }
    };
    return [name, { up }] as const;
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
