import { type Kysely, sql } from 'kysely';

/**
 * Whether a redriven message died again is asked for each message of each run, over all rows of its key: the index
 * held the redriven ones only.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`drop index dead_letters_by_key`.execute(db);
  await sql`create index dead_letters_by_key on dead_letters (queue, message_key, first_seen_at)`.execute(db);
}
