import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';

/** What time it is for everything that the database stamps. To the millisecond; the way back makes it that much too early. */
export async function readDatabaseTime(db: Kysely<Database>): Promise<Date> {
  const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db);
  if (rows[0] === undefined) throw new Error('the database did not tell the time');
  return rows[0].now;
}
