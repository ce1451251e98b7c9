import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';

/** Asked at each scrape: the oldest are counted, and a backlog of a million costs no more than one of this. */
const mostCounted = 10_000;

export type GiftsUnderWay = { queued: number; delivering: number; oldestSeconds: number | null };

/** Gifts that have a message, and for how long the oldest has waited in its state. Served by gifts_under_way. */
export async function readGiftsUnderWay(db: Kysely<Database>): Promise<GiftsUnderWay> {
  const { rows } = await sql<GiftsUnderWay>`
    select count(*) filter (where state = 'queued')::int as queued,
      count(*) filter (where state = 'delivering')::int as delivering,
      extract(epoch from clock_timestamp() - min(state_changed_at))::float8 as "oldestSeconds"
    from (select state, state_changed_at from gifts where state in ('queued', 'delivering')
      order by state_changed_at limit ${mostCounted}) oldest`.execute(db);
  return rows[0] ?? { queued: 0, delivering: 0, oldestSeconds: null };
}
