import { type Kysely, sql } from 'kysely';

/** Parked rows are few, and looked for each minute: without an index of their own each look reads the whole outbox. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create index outbox_parked on outbox (id) where parked_reason is not null`.execute(db);
}
