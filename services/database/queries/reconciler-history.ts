import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';
import type { Verdict } from '../states.ts';
import { stateForMessage } from './reconciler-gifts.ts';

export type LetterHistoryRow = {
  message_id: string;
  redrives: number;
  pardoned: number;
  first_seen_at: Date | null;
  last_redrive_at: Date | null;
  death_seen: boolean;
  verdict: Verdict | null;
  rule: string | null;
  applied: boolean;
};

/**
 * What earlier runs know of these messages and of earlier copies with the same key. Copies that one run redrove count
 * once: after a crash there may be two of them. An intention counts even if nobody came to say that it was carried out.
 * What was redriven as a probe, or died with so many others that the circuit opened, is pardoned.
 */
export async function findLetterHistory(
  db: Kysely<Database>,
  queue: string,
  messages: { message_id: string; message_key: string }[],
): Promise<LetterHistoryRow[]> {
  const { rows } = await sql<LetterHistoryRow>`
    with input as (
      select * from json_to_recordset(${JSON.stringify(messages)}::json) as seen (message_id text, message_key text)
    )
    select input.message_id, past.redrives, past.pardoned, past.last_redrive_at, own.verdict, own.rule, own.first_seen_at,
      own.id is not null or exists (
        select 1 from dead_letters later where later.queue = ${queue} and later.message_key = input.message_key
          and later.first_seen_at > past.last_redrive_at) as death_seen,
      own.applied_at is not null and own.verdict <> 'wait' as applied
    from input
    left join dead_letters own on own.queue = ${queue} and own.message_id = input.message_id
    cross join lateral (
      select count(distinct run_id) filter (where not pardoned) as redrives,
        count(distinct run_id) filter (where pardoned) as pardoned, max(last_seen_at) as last_redrive_at from dead_letters copy
      where copy.queue = ${queue} and copy.message_key = input.message_key and copy.verdict = 'redrive'
        and copy.message_id <> input.message_id
    ) past`.execute(db);
  return rows;
}

export type RedriveOutcomes = {
  samples: number;
  failures: number;
  successes: number;
  last_redrive_at: Date | null;
};

/** Keys of the resends and reminders redriven since a time. */
export async function findRedrivenSends(db: Kysely<Database>, queue: string, since: Date): Promise<string[]> {
  const { rows } = await sql<{ message_key: string }>`
    select distinct message_key from dead_letters
    where queue = ${queue} and verdict = 'redrive' and applied_at > ${since}
      and message_key like 'delivery.send:%'`.execute(db);
  return rows.map(({ message_key }) => message_key);
}

/**
 * What became of the messages redriven since a time. One has died again when its gift was dead-lettered after the
 * redrive, or when its key was seen in the queue after it. Messages of another release are left out: they die
 * until the consumers know them, and say nothing about the others. Those among `sends` are judged by their own deliveries.
 */
export async function countRedriveOutcomes(
  db: Kysely<Database>,
  queue: string,
  since: Date,
  sends: { message_key: string; delivery_id: string }[],
): Promise<RedriveOutcomes> {
  const { rows } = await sql<RedriveOutcomes>`
    with sends as (
      select * from json_to_recordset(${JSON.stringify(sends)}::json) as send (message_key text, delivery_id uuid)
    )
    select count(*) as samples, count(*) filter (where died) as failures,
      count(*) filter (where arrived and not died) as successes, max(applied_at) as last_redrive_at
    from (
      select r.applied_at,
        coalesce(${stateForMessage} not in ('held', 'scheduled', 'queued', 'delivering'), false) as arrived,
        coalesce(coalesce(d.dead_lettered_at, g.dead_lettered_at) > r.last_seen_at, false) or exists (
          select 1 from dead_letters later where later.queue = r.queue and later.message_key = r.message_key
            and later.first_seen_at > r.last_seen_at) as died
      from dead_letters r
      left join gifts g on g.id = r.gift_id
      left join sends on sends.message_key = r.message_key
      left join deliveries d on d.id = sends.delivery_id
      where r.queue = ${queue} and r.verdict = 'redrive' and r.applied_at > ${since}
        and r.message_key not like 'foreign:%'
    ) redriven`.execute(db);
  return rows[0] ?? { samples: 0, failures: 0, successes: 0, last_redrive_at: null };
}
