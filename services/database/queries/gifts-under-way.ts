import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';

export type GiftsUnderWay = { queued: number; delivering: number; oldestSeconds: number | null };

/** Gifts that have a message, and for how long the oldest has waited in its state. Served by gifts_under_way. */
export async function readGiftsUnderWay(db: Kysely<Database>): Promise<GiftsUnderWay> {
  const { rows } = await sql<GiftsUnderWay>`
    select count(*) filter (where state = 'queued')::int as queued,
      count(*) filter (where state = 'delivering')::int as delivering,
      extract(epoch from clock_timestamp() - min(state_changed_at))::float8 as "oldestSeconds"
    from gifts where state in ('queued', 'delivering')`.execute(db);
  return rows[0] ?? { queued: 0, delivering: 0, oldestSeconds: null };
}
