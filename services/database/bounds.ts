import { type Kysely, sql } from 'kysely';
import type { Database } from './schema.ts';

/**
 * What the server itself puts an end to, in milliseconds. A client's own time-out ends its wait and not the statement's:
 * locks would be held, and backends pile up, for as long as a frozen process or a waiting statement lasts.
 */
export type Bounds = {
  /** one statement; below the client's own time-out, so that the answer is an error and not silence */
  statement_timeout: number;
  /** waiting for one lock */
  lock_timeout: number;
  /** a transaction whose process says nothing more holds its locks for this long */
  idle_in_transaction_session_timeout: number;
  /** a whole transaction; known to PostgreSQL from 17 on */
  transaction_timeout: number;
};

export function boundsFor(statementTimeoutMs: number): Bounds {
  return {
    statement_timeout: statementTimeoutMs,
    lock_timeout: Math.min(5_000, statementTimeoutMs),
    idle_in_transaction_session_timeout: 5_000,
    transaction_timeout: Math.max(60_000, 5 * statementTimeoutMs),
  };
}

/** For what may take its time, such as a migration, also where the role has bounds of its own. */
export const unbounded: Bounds = {
  statement_timeout: 0,
  lock_timeout: 0,
  idle_in_transaction_session_timeout: 0,
  transaction_timeout: 0,
};

/** As a session is told of them when it starts. */
export function startupOptions(bounds: Partial<Bounds>): string {
  return Object.entries(bounds)
    .map(([name, ms]) => `-c ${name}=${ms}`)
    .join(' ');
}

/** The bounds by which the sessions of this connection string really go; those that the server does not know are left out. */
export async function readBounds(db: Kysely<Database>): Promise<Partial<Bounds>> {
  const names = Object.keys(unbounded);
  const { rows } = await sql<{ name: keyof Bounds; ms: number }>`
    select name, setting::integer as ms from pg_settings where name = any (${names}::text[])`.execute(db);
  return Object.fromEntries(rows.map(({ name, ms }) => [name, ms]));
}

/** For the rest of the transaction: where a pooler starts the session, nothing but the role's bounds hold until then. */
export async function liftBounds(trx: Kysely<Database>): Promise<void> {
  const names = Object.keys(unbounded);
  await sql`select set_config(name, '0', true) from pg_settings where name = any (${names}::text[])`.execute(
    trx,
  );
}

/** Bounds that are not in force at all: 0 means none. */
export function missingBounds(found: Partial<Bounds>): string[] {
  return Object.entries(found).flatMap(([name, ms]) => (ms === 0 ? [name] : []));
}

/**
 * Gives the role that migrates its bounds in this database: the only place that also holds behind a pooler, which refuses a
 * session's own start-up parameters. Sessions get them when they start.
 */
export async function boundRole(db: Kysely<Database>, bounds: Bounds): Promise<void> {
  const known = Object.keys(await readBounds(db));
  const { rows } = await sql<{ role: string; database: string }>`
    select current_user as role, current_database() as database`.execute(db);
  for (const [name, ms] of Object.entries(bounds).filter(([name]) => known.includes(name))) {
    await sql`
      alter role ${sql.id(rows[0]?.role ?? '')} in database ${sql.id(rows[0]?.database ?? '')}
      set ${sql.id(name)} = ${sql.lit(String(ms))}`.execute(db);
  }
}
