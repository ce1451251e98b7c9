import { type Kysely, sql } from 'kysely';

export const holds = ['deliveries'];

/**
 * Since when the mail of the attempt that is under way may be out: set before the mail server is given a byte of it. What
 * becomes of a delivery whose worker is gone depends on it. A release that knows nothing of it leaves it null.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table deliveries add column maybe_out_since timestamptz`.execute(db);
}
