import { type Kysely, sql } from 'kysely';

/**
 * An attempt may end in doubt: the mail server had the whole mail and never said whether it took it. Rows of before are
 * fine as they are, so they are not read again under the lock that this takes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table delivery_attempts
      drop constraint delivery_attempts_outcome_known,
      add constraint delivery_attempts_outcome_known check (outcome in
        ('started', 'sent', 'retry', 'dead_letter', 'interrupted', 'superseded', 'in_doubt')) not valid`.execute(
    db,
  );
}
