import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';

export type OutboxMessage = {
  id: string;
  queue: string;
  body: string;
  group_id: string | null;
  trace_header: string | null;
};

/**
 * Takes rows of these queues whose time has come by moving it `leaseSeconds` on: whoever dies with them gives them back
 * by itself. Rows of a queue that this process does not know are left for those who do. No order of ids is assumed, so a
 * transaction that commits late is found all the same. The materialized CTE is a fence: without it the planner may run
 * the limited subquery again and lock more rows than asked for.
 */
export async function claimOutboxRows(
  db: Kysely<Database>,
  queues: readonly string[],
  limit: number,
  leaseSeconds: number,
): Promise<OutboxMessage[]> {
  const { rows } = await sql<OutboxMessage>`
    with due as materialized (
      select id from outbox
      where available_at <= clock_timestamp() and parked_reason is null and queue = any(${queues}::text[])
      order by available_at
      limit ${limit}
      for update skip locked
    )
    update outbox set available_at = clock_timestamp() + make_interval(secs => ${leaseSeconds})
    from due where outbox.id = due.id
    returning outbox.id, outbox.queue, outbox.body, outbox.group_id, outbox.trace_header`.execute(db);
  return rows.map((row) => ({ ...row, id: String(row.id) }));
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
