import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import { briefly } from './briefly.ts';

/**
 * Into so many slots a window is cut. What was taken counts until its whole slot has left the window, so that no window
 * ever holds more than the quota; a budget thereby comes back late by one slot at most, a second in a minute.
 */
export const slotsPerWindow = 60;

/** Points to take from the budget of a key, as far as the quota allows. Each key stands in it once. */
export type PointsAsked = { key: string; points: number; quota: number; slotMs: number };

export type BudgetRow = {
  key: string;
  /** of the points that were asked for */
  granted: number;
  /** in the window that ends now, these included */
  used: number;
  /** until the first of them leave the window */
  reset_ms: number;
};

/**
 * Takes points from any number of budgets in one statement, by the clock of the database: the processes' own may differ.
 * The keys are written in order, so that two processes that take from the same budgets can't deadlock. A row that is
 * ahead of the clock by more than a window was written before the clock was set back, and begins anew. Of a budget that
 * somebody holds each process asks again every second: waited for longer, the requests would use up its connections.
 *
 * Requests of one address all change one row: with a statement each, they wait in line for its lock. On two cores with
 * 16 connections, taking together what came in together (and remembering keys) made 310 accepts/s to 437.
 */
export async function takePoints(db: Kysely<Database>, asked: readonly PointsAsked[]): Promise<BudgetRow[]> {
  const most = sql.lit(slotsPerWindow + 1);
  const { rows } = await sql<BudgetRow>`
    with ${briefly}, clock as materialized (
      select extract(epoch from clock_timestamp()) * 1000 as now_ms from briefly where bounded
    ), asked as (
      select key, least(points, quota) as points, quota, slot_ms, floor(now_ms / slot_ms)::bigint as slot
      from clock, unnest(${asked.map(({ key }) => key)}::text[], ${asked.map(({ points }) => points)}::integer[],
        ${asked.map(({ quota }) => quota)}::integer[], ${asked.map(({ slotMs }) => slotMs)}::integer[])
        as asked (key, points, quota, slot_ms)
    )
    insert into rate_limits as budget (key, points, expire, quota, granted, slot_ms, slot, oldest_slot, counts)
    select key, points, (slot + ${most}) * slot_ms, quota, points, slot_ms, slot, slot, array[points] from asked
    order by key
    on conflict (key) do update set (points, expire, quota, granted, slot_ms, slot, oldest_slot, counts) = (
      select used + granted, (slot + ${most}) * excluded.slot_ms, excluded.quota, granted, excluded.slot_ms, slot, oldest_slot,
        array[counts[1] + granted] || counts[2:]
      from (
        select *, greatest(0, least(excluded.granted, excluded.quota - used)) as granted from (
          select budget.slot, budget.oldest_slot, budget.counts, budget.points as used
          where budget.slot_ms = excluded.slot_ms and excluded.slot between budget.slot - ${most} and budget.slot
          union all
          select excluded.slot, excluded.slot - coalesce(max(nth) filter (where count > 0), 1) + 1,
            array_agg(count order by nth), sum(count)::integer
          from unnest(array_fill(0, array[(excluded.slot - budget.slot)::integer]) || budget.counts)
            with ordinality as moved (count, nth)
          where nth <= ${most} and budget.slot_ms = excluded.slot_ms
            and excluded.slot between budget.slot + 1 and budget.slot + ${most}
          having count(*) > 0
          union all
          select excluded.slot, excluded.slot, array[0], 0
          where budget.slot_ms is distinct from excluded.slot_ms
            or excluded.slot not between budget.slot - ${most} and budget.slot + ${most}
        ) as window_now
      ) as taken
    )
    returning key, granted, points as used,
      greatest(1, (oldest_slot + ${most}) * slot_ms - (select now_ms from clock))::integer as reset_ms`.execute(
    db,
  );
  return rows;
}

/** Of budgets that nobody comes back to nothing is left in the window; they only take room. */
export async function deleteEndedBudgets(trx: Transaction<Database>, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    with ended as materialized (
      select key from rate_limits where expire < extract(epoch from clock_timestamp()) * 1000
      order by expire limit ${limit} for update skip locked
    )
    delete from rate_limits where key = any (array(select key from ended))`.execute(trx);
  return Number(numAffectedRows ?? 0);
}
