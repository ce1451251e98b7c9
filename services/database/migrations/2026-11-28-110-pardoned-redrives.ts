import { type Kysely, sql } from 'kysely';

/**
 * A redrive that says nothing against its message, because it was a probe of an open circuit or because the circuit opened
 * over it, is pardoned: it does not count towards `maxRedrives`. A release that knows nothing of it writes `false`.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table dead_letters add column pardoned boolean not null default false`.execute(db);
  // The rate of quarantines, and the poison that waits for a person, are asked for by each run.
  await sql`
    create index dead_letters_quarantined on dead_letters (queue, last_seen_at)
      where verdict = 'quarantine'`.execute(db);
  await sql`
    create index dead_letters_parked on dead_letters (queue)
      where verdict = 'quarantine' and class = 'poison'`.execute(db);
}
