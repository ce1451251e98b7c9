import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';

/** Months that there are beyond this one: time enough for somebody to look why none was added. */
const monthsAhead = 3;

/**
 * Makes the earliest partition that is missing of the months ahead, with the rights of the role that migrates. Several may ask
 * at once: it is made once.
 *
 * @param mostMoved rows that may be moved into it, if rows of its month have come already; null: all
 * @returns its name; null when none was missing
 * @throws the database's 55P03 when a table could not be had at once, and 54000 when more rows wait for the month
 */
export async function makeNextMonth(
  db: Kysely<Database>,
  mostMoved: number | null = null,
): Promise<string | null> {
  const { rows } = await sql<{ made: string | null }>`
    select make_next_month(${sql.lit(monthsAhead)}, ${mostMoved}::bigint) as made`.execute(db);
  return rows[0]?.made ?? null;
}

export type MonthsRow = {
  table: string;
  /** days from now until the first month that there is no partition for; below 0 when it has begun */
  days_ahead: number;
  /** in no month: counted up to ten thousand */
  without_month: number;
};

/** How the tables stand that are divided by month. */
export async function readMonths(db: Kysely<Database>): Promise<MonthsRow[]> {
  const { rows } = await sql<MonthsRow>`
    select "table", rows::int as without_month,
      (extract(epoch from first_month_missing("table") - now()) / 86400)::float8 as days_ahead
    from rows_without_month`.execute(db);
  return rows;
}
