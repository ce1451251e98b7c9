import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';
import type { FailureClass } from '../states.ts';
import { briefly } from './briefly.ts';
import { postedFrom } from './post-transfers.ts';

export type SettlementInput = {
  delivery_id: string;
  /** the attempt that is being settled; a later one has taken over when it differs from the row's */
  attempt: number;
  /**
   * `interrupted`: given back before anything was tried; `in_doubt`: the recipient may have the mail, so the gift counts as
   * delivered and its money as spent
   */
  outcome: 'sent' | 'retry' | 'dead_letter' | 'interrupted' | 'in_doubt';
  /** whether the attempt counts towards the retry limit */
  forgiven: boolean;
  class: FailureClass | null;
  code: string | null;
  reason: string | null;
  /** from now on: when that is, the database's clock tells, which is asked whether it has come */
  next_attempt_seconds: number | null;
  /** of what is in doubt and will be sent once more; null when it will not */
  repeat_seconds: number | null;
  /** whether a failed delivery may never be sent again */
  final: boolean;
  transfer_id: string;
  audit_ids: [string, string];
};

export type SettledRow = { delivery_id: string; settled: 'recorded' | 'overtaken' | 'locked' };

/**
 * Records what became of deliveries and, for gifts that were sent, commits their money: one statement for all.
 * Deliveries that another worker has taken over meanwhile are left alone; so are those of gifts that were queued again
 * after their lease had ended, whose next worker goes on. Gifts are locked in id order before anything else, as everywhere,
 * so that two settlements can't deadlock; one that somebody else holds is passed by, so that it delays itself alone.
 * An audit record names the state that its gift came into by it. What was interrupted before anything was tried is told
 * by its attempt alone: no audit record.
 */
export async function settleClaimedDeliveries(
  db: Kysely<Database>,
  input: SettlementInput[],
): Promise<SettledRow[]> {
  const { rows } = await sql<SettledRow>`
    with input as (
      select * from json_to_recordset(${JSON.stringify(input)}::json) as settlement (
        delivery_id uuid, attempt integer, outcome text, class text, code text, reason text,
        next_attempt_seconds float8, final boolean, forgiven boolean, repeat_seconds integer, transfer_id uuid, audit_ids json)
    ), ${briefly}, locked as materialized (
      select g.id, g.state, g.funding_account_id, g.currency, g.amount_minor, g.request_id from gifts g
      where g.id in (select d.gift_id from deliveries d join input on input.delivery_id = d.id)
        and (select bounded from briefly)
      order by g.id for no key update skip locked
    ), settled as (
      update deliveries d set
        state = case when input.outcome = 'sent' or (input.outcome = 'in_doubt' and input.repeat_seconds is null) then 'sent'
          when input.final then 'failed' else 'deferred' end,
        lease_until = null, state_changed_at = clock_timestamp(),
        dead_lettered_at = case when input.outcome = 'dead_letter' then clock_timestamp() end,
        -- A redrive may have forgiven this attempt already, while its worker was at it without a lease.
        attempts_forgiven = least(d.attempts,
          d.attempts_forgiven + case when input.outcome = 'interrupted' or input.forgiven then 1 else 0 end)
      from input, locked
      where d.id = input.delivery_id and d.gift_id = locked.id and d.attempts = input.attempt and d.state = 'sending'
        and (d.purpose <> 'gift' or locked.state <> 'queued')
      returning d.id as delivery_id, d.gift_id, d.purpose, d.channel, locked.state as gift_state,
        locked.funding_account_id, locked.currency, locked.amount_minor, locked.request_id, input.attempt,
        input.outcome, input.class, input.code, input.reason, clock_timestamp() + make_interval(secs =>
          coalesce(input.next_attempt_seconds, input.repeat_seconds)) as next_attempt_at, input.transfer_id, input.audit_ids
    ), closed as (
      update delivery_attempts a set outcome = s.outcome, class = s.class, code = s.code, reason = s.reason,
        next_attempt_at = s.next_attempt_at, finished_at = clock_timestamp()
      from settled s where a.delivery_id = s.delivery_id and a.number = s.attempt
    ), moved as (
      update gifts g set
        state = case when s.outcome in ('sent', 'in_doubt') then 'delivered' else 'queued' end,
        lease_until = null, state_changed_at = clock_timestamp(),
        dead_lettered_at = case when s.outcome = 'dead_letter' then clock_timestamp() end,
        failure_class = case when s.outcome <> 'in_doubt' then s.class end,
        failure_code = case when s.outcome <> 'in_doubt' then s.code end
      from settled s where g.id = s.gift_id and s.purpose = 'gift' and s.gift_state = 'delivering'
      returning g.id, g.state
    ), committed as (
      select s.* from settled s join moved on moved.id = s.gift_id where moved.state = 'delivered'
    ), moves as (
      select transfer_id as id, 'commit' as kind, 'gift' as subject_kind, gift_id as subject_id, null::uuid as cause_id,
        funding_account_id, currency, amount_minor
      from committed
    ), ${postedFrom(sql`moves`)}, new_audit_records as (
      insert into audit_records (id, action, actor_kind, subject_kind, subject_id, request_id, data, created_at)
      select (audit_ids ->> 0)::uuid,
        case outcome when 'sent' then 'delivery.sent' when 'dead_letter' then 'delivery.dead_lettered'
          when 'in_doubt' then 'delivery.in_doubt'
          else 'delivery.deferred' end,
        'consumer', 'gift', gift_id, request_id,
        jsonb_strip_nulls(jsonb_build_object('purpose', purpose, 'channel', channel, 'attempt', attempt, 'class', class,
          'code', code, 'next_attempt_at', next_attempt_at, 'state', nullif(moved.state, 'delivered'))),
        clock_timestamp()
      from settled left join moved on moved.id = gift_id where outcome <> 'interrupted'
      union all
      select (audit_ids ->> 1)::uuid, 'gift.delivered', 'consumer', 'gift', gift_id, request_id, '{}', clock_timestamp()
      from committed
    )
    select input.delivery_id, case when s.delivery_id is not null then 'recorded'
      when d.id is not null and locked.id is null then 'locked' else 'overtaken' end as settled
    from input
    left join settled s on s.delivery_id = input.delivery_id
    left join deliveries d on d.id = input.delivery_id
    left join locked on locked.id = d.gift_id`.execute(db);
  return rows;
}
