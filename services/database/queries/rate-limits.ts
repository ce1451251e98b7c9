import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';

/** Points to take from the budget of a key, which ends `windowMs` after it began. Each key stands in it once. */
export type PointsTaken = { key: string; points: number; windowMs: number };

export type BudgetRow = { key: string; points: number; expire: number };

/**
 * Takes points from any number of budgets in one statement; a budget whose window is over begins anew. The keys are
 * written in order, so that two processes that take from the same budgets can't deadlock.
 *
 * Requests of one address all change one row: with a statement each, they wait in line for its lock. On two cores with
 * 16 connections, taking together what came in together (and remembering keys) made 310 accepts/s to 437.
 */
export async function takePoints(
  db: Kysely<Database>,
  taken: readonly PointsTaken[],
  nowMs: number,
): Promise<BudgetRow[]> {
  const keys = taken.map(({ key }) => key);
  const points = taken.map((one) => one.points);
  const ends = taken.map(({ windowMs }) => nowMs + windowMs);
  const { rows } = await sql<BudgetRow>`
    insert into rate_limits as budget (key, points, expire)
    select key, points, expire
    from unnest(${keys}::text[], ${points}::integer[], ${ends}::bigint[]) as taken (key, points, expire)
    order by key
    on conflict (key) do update set
      points = case when budget.expire <= ${nowMs}::bigint then excluded.points else budget.points + excluded.points end,
      expire = case when budget.expire <= ${nowMs}::bigint then excluded.expire else budget.expire end
    returning key, points, expire`.execute(db);
  return rows;
}

/** Budgets whose window is over begin anew by themselves; those that nobody comes back to only take room. */
export async function deleteEndedBudgets(
  trx: Transaction<Database>,
  nowMs: number,
  limit: number,
): Promise<number> {
  const { numAffectedRows } = await sql`
    with ended as materialized (
      select key from rate_limits where expire < ${nowMs}::bigint
      order by expire limit ${limit} for update skip locked
    )
    delete from rate_limits where key = any (array(select key from ended))`.execute(trx);
  return Number(numAffectedRows ?? 0);
}
