import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';
import { now } from './now.ts';

export type OutboxMessage = {
  id: string;
  queue: string;
  body: string;
  group_id: string | null;
  trace_header: string | null;
};

export type OutboxClaim = {
  rows: OutboxMessage[];
  /**
   * What was due before it is taken, but for what somebody holds at this moment or commits later than five seconds after
   * it is due; milliseconds of the database's clock
   */
  untilMs: number;
};

/**
 * Takes rows of these queues whose time has come by moving it `leaseSeconds` on: whoever dies with them gives them back
 * by itself. Rows of a queue that this process does not know are left for those who do. No order of ids is assumed, so a
 * transaction that commits late is found all the same. The materialized CTE is a fence: without it the planner may run
 * the limited subquery again and lock more rows than asked for.
 *
 * @param options.fromMs rows that were due before are not looked for: while a snapshot stays open elsewhere, each row that
 *   is sent leaves an entry at the beginning of the index, and a look from there walks past all of them
 */
export async function claimOutboxRows(
  db: Kysely<Database>,
  queues: readonly string[],
  options: { limit: number; leaseSeconds: number; fromMs?: number | null },
): Promise<OutboxClaim> {
  const { limit, leaseSeconds, fromMs = null } = options;
  const from = fromMs === null ? sql`'-infinity'` : sql`to_timestamp(${fromMs}::float8 / 1000)`;
  const { rows } = await sql<OutboxMessage & { until_ms: number; id: string | null }>`
    with clock as materialized (
      select clock_timestamp() as now
    ), due as materialized (
      select id, available_at from outbox
      where available_at between ${from} and (select now from clock)
        and parked_reason is null and queue = any(${queues}::text[])
      order by available_at
      limit ${limit}
      for update skip locked
    ), taken as (
      update outbox set available_at = clock_timestamp() + make_interval(secs => ${leaseSeconds})
      from due where outbox.id = due.id
      returning outbox.id, outbox.queue, outbox.body, outbox.group_id, outbox.trace_header
    )
    select taken.*, floor(extract(epoch from least((select max(available_at) from due), now - interval '5 s')) * 1000)::float8
      as until_ms
    from clock left join taken on true`.execute(db);
  return {
    rows: rows.flatMap(({ until_ms, id, ...row }) => (id === null ? [] : [{ ...row, id: String(id) }])),
    untilMs: rows[0]?.until_ms ?? 0,
  };
}

/** Published rows have no further use. */
export async function deleteOutboxRows(db: Kysely<Database>, ids: readonly string[]): Promise<void> {
  await sql`delete from outbox where id = any(${ids}::bigint[])`.execute(db);
}

/** A row that can never be sent is kept for a person, and out of the way of the others. */
export async function parkOutboxRow(db: Kysely<Database>, id: string, reason: string): Promise<void> {
  await sql`update outbox set parked_reason = ${reason} where id = ${id}::bigint`.execute(db);
}

/**
 * Rows that were not taken are tried again when they are twice as old as now: after a second at first, at most after
 * `mostSeconds`. A row that nobody takes then costs its neighbours nothing, and all of them know it without a counter.
 */
export async function postponeOutboxRows(
  db: Kysely<Database>,
  ids: readonly string[],
  mostSeconds: number,
): Promise<void> {
  await sql`
    update outbox set available_at = clock_timestamp() + make_interval(secs =>
      least(${mostSeconds}::float8, greatest(1, extract(epoch from clock_timestamp() - created_at)::float8)) * (0.5 + random() / 2))
    where id = any(${ids}::bigint[]) and parked_reason is null`.execute(db);
}

/**
 * Makes due what lies further ahead than any lease or pause: it was written before the clock of the database was set back,
 * and would wait until the clock is there again.
 * @returns how many
 */
export async function recallOutboxRows(
  db: Kysely<Database>,
  queues: readonly string[],
  beyondSeconds: number,
): Promise<number> {
  const { numAffectedRows } = await sql`
    with ahead as materialized (
      select id from outbox
      where available_at > ${now} + make_interval(secs => ${beyondSeconds})
        and parked_reason is null and queue = any(${queues}::text[])
      for update skip locked
    )
    update outbox set available_at = clock_timestamp() from ahead where outbox.id = ahead.id`.execute(db);
  return Number(numAffectedRows ?? 0);
}

/** Every scrape of every process asks: a count of a million rows took 0.4 s, and nobody acts otherwise on a million. */
const mostCounted = 10_000;

export type OutboxBacklog = { pending: number; parked: number; lagSeconds: number };

/**
 * Rows not yet published, and the age of the oldest in seconds (0 when there is none). What is parked counts to the age:
 * a gift whose message lies there waits as long as any other.
 */
export async function readOutboxBacklog(db: Kysely<Database>): Promise<OutboxBacklog> {
  const { rows } = await sql<OutboxBacklog>`
    select (select count(*) from (select 1 from outbox where parked_reason is null limit ${mostCounted}) pending)::int as pending,
      (select count(*) from (select 1 from outbox where parked_reason is not null limit ${mostCounted}) parked)::int as parked,
      coalesce((select extract(epoch from clock_timestamp() - created_at) from outbox order by id limit 1), 0)::float8
        as "lagSeconds"`.execute(db);
  return rows[0] ?? { pending: 0, parked: 0, lagSeconds: 0 };
}
