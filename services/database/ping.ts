import { type Kysely, sql } from 'kysely';
import type { Database } from './schema.ts';

/** For readiness: resolves when the database answers. @throws what the driver throws */
export async function pingDatabase(db: Kysely<Database>): Promise<void> {
  await sql`select 1`.execute(db);
}
