import { type Kysely, sql } from 'kysely';
import type { Database } from './schema.ts';

const nobody = '00000000-0000-0000-0000-000000000000';

/**
 * For readiness: resolves when the database does what serving needs. It writes no row, but asks for all that a write needs,
 * by the way that every statement takes: a session of the pool, a prepared statement, a node that may write, a table that
 * is not locked away. A `select 1` is answered by a node that has become read-only, too.
 *
 * @throws what the driver throws
 */
export async function pingDatabase(db: Kysely<Database>): Promise<void> {
  await sql`update senders set name = name where id = ${nobody}::uuid`.execute(db);
}
