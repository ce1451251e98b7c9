import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import type { FailureClass, Verdict } from '../states.ts';

/** A verdict on one message, before it is applied. */
export type VerdictInput = {
  id: string;
  message_id: string;
  message_key: string;
  gift_id: string | null;
  class: FailureClass;
  reason: string;
  receive_count: number;
  sent_at: string;
  verdict: Verdict;
  rule: string | null;
  /** kept when the message leaves the queue for good, or is about to be dropped by it */
  body: string | null;
  attributes: Record<string, unknown> | null;
  archived: boolean;
  /** a redrive that does not count towards `maxRedrives` */
  pardoned: boolean;
};

export type VerdictScope = {
  queue: string;
  runId: string;
  /** when the run looked at the queue: what dies later than this, after a redrive, died again */
  seenAt: Date;
};

/**
 * Records what is about to be done, one row per message for ever: a run that dies before it is done leaves its
 * intention. A verdict that was applied is not changed any more, a body that was kept is not given up.
 */
export async function recordVerdicts(
  trx: Transaction<Database>,
  input: VerdictInput[],
  scope: VerdictScope,
): Promise<void> {
  if (input.length === 0) return;
  await sql`
    insert into dead_letters as known (id, queue, message_id, message_key, gift_id, class, reason, receive_count,
      sent_at, verdict, rule, body, attributes, run_id, first_seen_at, last_seen_at, archived_at, pardoned)
    select id, ${scope.queue}, message_id, message_key, gift_id, class, reason, receive_count, sent_at, verdict, rule,
      body, attributes, ${scope.runId}, ${scope.seenAt}, ${scope.seenAt},
      case when archived then clock_timestamp() end, pardoned
    from json_to_recordset(${JSON.stringify(input)}::json) as seen (
      id uuid, message_id text, message_key text, gift_id uuid, class text, reason text, receive_count integer,
      sent_at timestamptz, verdict text, rule text, body text, attributes jsonb, archived boolean, pardoned boolean)
    order by message_id
    on conflict (queue, message_id) do update set
      gift_id = excluded.gift_id, class = excluded.class, reason = excluded.reason,
      receive_count = excluded.receive_count, verdict = excluded.verdict, rule = excluded.rule,
      body = coalesce(excluded.body, known.body), attributes = coalesce(excluded.attributes, known.attributes),
      run_id = excluded.run_id, last_seen_at = excluded.last_seen_at, pardoned = excluded.pardoned,
      archived_at = coalesce(known.archived_at, excluded.archived_at)
    where known.applied_at is null`.execute(trx);
}

/** The verdicts on these messages have come true: sent, or failed with the money returned, or not needed any more. */
export async function markVerdictsApplied(
  db: Kysely<Database>,
  queue: string,
  messageIds: string[],
  appliedAt: Date,
): Promise<void> {
  if (messageIds.length === 0) return;
  await sql`
    update dead_letters set applied_at = ${appliedAt}
    where queue = ${queue} and message_id = any (${messageIds}) and applied_at is null`.execute(db);
}
