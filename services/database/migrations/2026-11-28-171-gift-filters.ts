import { type Kysely, sql } from 'kysely';

/**
 * A sender's gifts of one state or currency, newest first: without these, a page of the rare ones reads all gifts of the sender.
 * Dates need none: ids are ordered by time. Writes wait while the indexes are built, some seconds per million gifts.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create index gifts_by_sender_state on gifts (sender_id, state, id)`.execute(db);
  await sql`create index gifts_by_sender_currency on gifts (sender_id, currency, id)`.execute(db);
}
