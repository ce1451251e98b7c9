import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';

/** Messages that could be read and were quarantined since a time, each once. Served by dead_letters_quarantined. */
export async function countQuarantined(db: Kysely<Database>, queue: string, since: Date): Promise<number> {
  const { rows } = await sql<{ quarantined: number }>`
    select count(distinct message_key) as quarantined from dead_letters
    where queue = ${queue} and verdict = 'quarantine' and class <> 'poison' and last_seen_at > ${since}`.execute(
    db,
  );
  return rows[0]?.quarantined ?? 0;
}

/**
 * Gifts delivered since a time, counted up to `enough`. Ids of audit records grow with their writers' clocks: they only
 * narrow the search, an hour wider than any clock should be wrong; the time is the database's own.
 */
export async function countDelivered(db: Kysely<Database>, since: Date, enough: number): Promise<number> {
  const { rows } = await sql<{ delivered: number }>`
    select count(*) as delivered from (
      select 1 from audit_records
      where id >= (lpad(to_hex((extract(epoch from ${since}::timestamptz - interval '1 hour') * 1000)::bigint), 12, '0')
          || '70008000000000000000')::uuid
        and action = 'gift.delivered' and created_at > ${since}
      limit ${enough}
    ) delivered`.execute(db);
  return rows[0]?.delivered ?? 0;
}

/** Poison that was quarantined and that nobody has sent again. Served by dead_letters_parked. */
export async function countParked(db: Kysely<Database>, queue: string): Promise<number> {
  const { rows } = await sql<{ parked: number }>`
    select count(*) as parked from dead_letters
    where queue = ${queue} and verdict = 'quarantine' and class = 'poison'`.execute(db);
  return rows[0]?.parked ?? 0;
}

/**
 * Sends a quarantined message that nobody could read to its queue again, by way of the outbox: once, however often it is
 * asked for. Of a gift that was failed there is nothing to send: its money is back.
 *
 * @param queueName of the queue as SQS knows it
 * @returns whether there was such a message
 */
export async function unparkDeadLetter(
  db: Kysely<Database>,
  letter: { id: string; queueName: string },
): Promise<boolean> {
  const { rows } = await sql`
    with unparked as (
      update dead_letters set verdict = 'redrive', rule = 'unparked', applied_at = clock_timestamp(),
        last_seen_at = clock_timestamp(), pardoned = true
      where id = ${letter.id}::uuid and verdict = 'quarantine' and class = 'poison' and body is not null
      returning body, attributes
    )
    insert into outbox (queue, body, group_id, trace_header, available_at)
    select ${letter.queueName}, body, attributes ->> 'group_id', attributes ->> 'trace_header', clock_timestamp()
    from unparked
    returning id`.execute(db);
  return rows.length > 0;
}

/** What died after these redrives died of what the circuit opened for, or a person has said so. */
export async function pardonRedrives(
  db: Kysely<Database>,
  queue: string,
  which: { since: Date } | { keys: readonly string[] },
): Promise<void> {
  const these =
    'since' in which ? sql`applied_at > ${which.since}` : sql`message_key = any (${which.keys}::text[])`;
  await sql`
    update dead_letters set pardoned = true
    where queue = ${queue} and verdict = 'redrive' and not pardoned and ${these}`.execute(db);
}
