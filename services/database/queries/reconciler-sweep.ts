import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';
import { now } from './now.ts';

export type StuckCounts = { scheduled: number; queued: number; delivering: number };

/** Gifts that stand still: past their time and still scheduled, or long under way. Dead-lettered ones are told elsewhere. */
export async function countStuckGifts(
  db: Kysely<Database>,
  limits: { overdueSeconds: number; underWaySeconds: number },
): Promise<StuckCounts> {
  const { rows } = await sql<StuckCounts>`
    select
      (select count(*) from gifts where state = 'scheduled'
        and deliver_at < ${now} - make_interval(secs => ${limits.overdueSeconds})) as scheduled,
      count(*) filter (where state = 'queued') as queued, count(*) filter (where state = 'delivering') as delivering
    from gifts where state in ('queued', 'delivering') and dead_lettered_at is null
      and state_changed_at < ${now} - make_interval(secs => ${limits.underWaySeconds})`.execute(db);
  return rows[0] ?? { scheduled: 0, queued: 0, delivering: 0 };
}
