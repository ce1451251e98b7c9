import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';

/** Outbox rows that no relay has published although their time came a while ago: their gifts wait for a relay, not for us. */
export async function countLateOutboxRows(db: Kysely<Database>, lateSeconds: number): Promise<number> {
  const { rows } = await sql<{ late: number }>`
    select count(*) as late from (
      select 1 from outbox where parked_reason is null
        and available_at < clock_timestamp() - make_interval(secs => ${lateSeconds}) limit 1000
    ) late_rows`.execute(db);
  return rows[0]?.late ?? 0;
}

export type StuckCounts = { scheduled: number; queued: number; delivering: number };

/** Gifts that stand still: past their time and still scheduled, or long under way. Dead-lettered ones are told elsewhere. */
export async function countStuckGifts(
  db: Kysely<Database>,
  limits: { overdueSeconds: number; underWaySeconds: number },
): Promise<StuckCounts> {
  const { rows } = await sql<StuckCounts>`
    select
      (select count(*) from gifts where state = 'scheduled'
        and deliver_at < clock_timestamp() - make_interval(secs => ${limits.overdueSeconds})) as scheduled,
      count(*) filter (where state = 'queued') as queued, count(*) filter (where state = 'delivering') as delivering
    from gifts where state in ('queued', 'delivering') and dead_lettered_at is null
      and state_changed_at < clock_timestamp() - make_interval(secs => ${limits.underWaySeconds})`.execute(
    db,
  );
  return rows[0] ?? { scheduled: 0, queued: 0, delivering: 0 };
}
