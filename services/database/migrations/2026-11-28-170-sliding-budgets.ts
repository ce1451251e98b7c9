import { type Kysely, sql } from 'kysely';

/**
 * Budgets that hold in any window: what was taken is kept by slots of time, the newest first. Rows of the release before
 * have none and keys of another form; both kinds end by `expire`. Unlogged as the table is, so this costs no log.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table rate_limits
      add column quota integer,
      add column granted integer,
      add column slot_ms integer,
      add column slot bigint,
      add column oldest_slot bigint,
      add column counts integer[]`.execute(db);
}
