import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';

/** How many within the window. */
export type RecentCounts = { accepted: number; delivered: number; deadLettered: number };

/**
 * What the audit records of the last `windowSeconds` tell. Their ids grow with time, so the primary key finds the recent
 * ones, a quarter of an hour wider than the window, as ids are of their writers' clocks and the time is the database's: 27,000 (30 gifts/s) among two million take 8 ms, and an accept has no further index to write.
 */
export async function countRecent(db: Kysely<Database>, windowSeconds: number): Promise<RecentCounts> {
  const { rows } = await sql<RecentCounts>`
    select count(*) filter (where action = 'gift.accepted')::int as accepted,
      count(*) filter (where action = 'gift.delivered')::int as delivered,
      count(*) filter (where action = 'delivery.dead_lettered')::int as "deadLettered"
    from audit_records
    where id >= ${firstIdOf(windowSeconds + 900)} and created_at > now() - make_interval(secs => ${windowSeconds})`.execute(
    db,
  );
  return rows[0] ?? { accepted: 0, delivered: 0, deadLettered: 0 };
}

/** Seconds; null when nothing waits. */
export type OldestAges = { waiting: number | null; deadLettered: number | null; late: number };

/** Beyond it a gift is late: what the objective of deliveries allows. */
const lateAfterSeconds = 300;

/** A backlog of a million costs no more than one of this, and its oldest are then those longest in their state. */
const mostLookedAt = 10_000;

/**
 * For how long somebody has waited whose message is in the queue: since the gift was to be delivered, or the mail asked for,
 * however often it was tried meanwhile. And for how long the oldest has been dead-lettered. Partial indexes lead to each. And how
 * many gifts are late, of those that are longest in their state.
 */
export async function readOldestAges(db: Kysely<Database>): Promise<OldestAges> {
  const { rows } = await sql<OldestAges>`
    select ${secondsSince(sql`least(
        (select min(greatest(created_at, deliver_at)) from (select created_at, deliver_at from gifts
          where state in ('queued', 'delivering') and dead_lettered_at is null
          order by state_changed_at limit ${mostLookedAt}) waiting),
        (select min(created_at) from (select d.created_at from deliveries d join gifts g on g.id = d.gift_id
          where ${isToBeSent} and d.dead_lettered_at is null
          order by d.state_changed_at limit ${mostLookedAt}) waiting))`)} as waiting,
      ${secondsSince(sql`least(
        (select min(dead_lettered_at) from gifts
          where state in ('queued', 'delivering') and dead_lettered_at is not null),
        (select min(d.dead_lettered_at) from deliveries d join gifts g on g.id = d.gift_id
          where ${isToBeSent}))`)} as "deadLettered",
      (select count(*)::int from (select created_at, deliver_at from gifts where state in ('queued', 'delivering')
        order by state_changed_at limit ${mostLookedAt}) under_way
        where greatest(created_at, deliver_at) < clock_timestamp() - make_interval(secs => ${lateAfterSeconds})) as late`.execute(
    db,
  );
  return rows[0] ?? { waiting: null, deadLettered: null, late: 0 };
}

/** A resend or reminder whose message is needed. A reminder whose worker died is never sent again. */
const isToBeSent = sql`d.purpose <> 'gift' and d.state in ('pending', 'sending', 'deferred') and g.state = 'delivered'
  and (d.state <> 'sending' or d.purpose = 'resend' or d.lease_until > clock_timestamp())`;

function secondsSince(time: ReturnType<typeof sql>) {
  return sql`extract(epoch from clock_timestamp() - ${time})::float8`;
}

/** The least UUIDv7 of the window: its first 48 bits are milliseconds since 1970. */
function firstIdOf(windowSeconds: number) {
  return sql`(lpad(to_hex((extract(epoch from now() - make_interval(secs => ${windowSeconds})) * 1000)::bigint), 12, '0')
    || '70008000000000000000')::uuid`;
}
