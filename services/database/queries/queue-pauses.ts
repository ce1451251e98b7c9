import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';
import type { FailureOwner } from '../states.ts';

export type PauseInput = {
  queue: string;
  consumer: string;
  owner: FailureOwner;
  code: string;
  reason: string;
  pausedSeconds: number;
  nextProbeSeconds: number;
};

/**
 * For how long after its next probe is due a pause counts without another word from its consumer: one that died while it
 * was paused pauses nothing any more. A probe itself may take as long as the mail server is waited for.
 */
const graceSeconds = 3_600;

/** Says that a consumer has paused its queue, or that it still has. Times are the database's own. */
export async function recordPause(db: Kysely<Database>, pause: PauseInput): Promise<void> {
  await sql`
    with gone as (
      delete from queue_pauses where expires_at < clock_timestamp() and consumer <> ${pause.consumer}
    )
    insert into queue_pauses (queue, consumer, owner, code, reason, since, next_probe_at, expires_at)
    values (${pause.queue}, ${pause.consumer}, ${pause.owner}, ${pause.code}, ${pause.reason},
      clock_timestamp() - make_interval(secs => ${pause.pausedSeconds}),
      clock_timestamp() + make_interval(secs => ${pause.nextProbeSeconds}),
      clock_timestamp() + make_interval(secs => ${pause.nextProbeSeconds + graceSeconds}))
    on conflict (queue, consumer) do update set owner = excluded.owner, code = excluded.code, reason = excluded.reason,
      since = excluded.since, next_probe_at = excluded.next_probe_at, expires_at = excluded.expires_at`.execute(
    db,
  );
}

export async function endPause(
  db: Kysely<Database>,
  { queue, consumer }: Pick<PauseInput, 'queue' | 'consumer'>,
): Promise<void> {
  await sql`delete from queue_pauses where queue = ${queue} and consumer = ${consumer}`.execute(db);
}

export type QueuePause = {
  queue: string;
  consumers: number;
  owner: FailureOwner;
  code: string;
  reason: string;
  since: Date;
  nextProbeSeconds: number;
};

/** Which queues are paused, by how many consumers, and why by the one that has been for longest. */
export async function readPauses(db: Kysely<Database>): Promise<QueuePause[]> {
  const { rows } = await sql<QueuePause>`
    select distinct on (queue) queue, owner, code, reason, since,
      (count(*) over (partition by queue))::int as consumers,
      greatest(0, extract(epoch from min(next_probe_at) over (partition by queue) - clock_timestamp()))::float8
        as "nextProbeSeconds"
    from queue_pauses where expires_at > clock_timestamp()
    order by queue, since`.execute(db);
  return rows;
}
