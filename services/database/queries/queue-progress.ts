import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';

/**
 * How far the consumers have come: when what they receive now was queued, by the median of what was received for the first
 * time within the last ten minutes; of each sender, as a fair queue serves each in a turn of its own, and of all together.
 * Null while nothing is received. A message whose turn this has passed, and that has not been received, does not exist.
 */
export type QueueProgress = {
  everybody: Date | null;
  senders: readonly { sender_id: string; mark: Date }[];
};

/** The attempts looked at, at most: at 100 gifts/s those of the last minute. */
const sample = 5_000;

/** A gift that was accepted, or scheduled, is queued no earlier than that: the mark errs to the early side, where it accuses nobody. */
export async function readQueueProgress(db: Kysely<Database>): Promise<QueueProgress> {
  const { rows } = await sql<{ sender_id: string | null; mark: Date | null }>`
    with received as materialized (
      select g.sender_id, greatest(g.created_at, g.deliver_at) as queued_at
      from (select delivery_id, number, started_at from delivery_attempts order by id desc limit ${sample}) a
      join deliveries d on d.id = a.delivery_id and d.purpose = 'gift'
      join gifts g on g.id = d.gift_id
      where a.number = 1 and a.started_at > clock_timestamp() - interval '10 minutes'
    )
    select sender_id, percentile_disc(0.5) within group (order by queued_at) as mark
    from received group by grouping sets ((sender_id), ())`.execute(db);
  const senders = rows.flatMap(({ sender_id, mark }) => (sender_id && mark ? [{ sender_id, mark }] : []));
  return { everybody: rows.find(({ sender_id }) => sender_id === null)?.mark ?? null, senders };
}

/** Ids in the messages that wait for a relay, up to `limit` of them: these exist, though not in the queue yet. */
export async function readOutboxIds(db: Kysely<Database>, limit: number): Promise<string[]> {
  // Not parsed as JSON: one body that is none would stop the sweep for all.
  const { rows } = await sql<{ id: string }>`
    select substring(body from '"id" *: *"([a-z]{3}_[0-9a-z]{26})"') as id from outbox
    where parked_reason is null and body ~ '"id" *: *"[a-z]{3}_[0-9a-z]{26}"' limit ${limit}`.execute(db);
  return rows.map(({ id }) => id);
}
