import { sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';

export type ResendHistory = {
  resends: number;
  /** seconds since the last mail was asked for, whatever for; null when none was */
  secondsSinceLast: number | null;
};

/** What was sent of a gift so far. Read under the lock on the gift, so that two requests can't both find room. */
export async function readResendHistory(trx: Transaction<Database>, giftId: string): Promise<ResendHistory> {
  const { rows } = await sql<ResendHistory>`
    select count(*) filter (where purpose = 'resend')::int as resends,
      extract(epoch from clock_timestamp() - max(created_at))::float8 as "secondsSinceLast"
    from deliveries where gift_id = ${giftId}`.execute(trx);
  return rows[0] ?? { resends: 0, secondsSinceLast: null };
}

export type ResendInsert = {
  deliveryId: string;
  giftId: string;
  actorId: string;
  requestId: string | null;
  auditId: string;
  outbox: { queue: string; body: string; group_id: string | null; trace_header: string | null };
};

/** The delivery, its outbox row and the audit record, in one statement. @returns the id of the outbox row */
export async function insertResend(
  trx: Transaction<Database>,
  resend: ResendInsert,
  outboxLeaseSeconds: number,
): Promise<string> {
  const { outbox } = resend;
  const { rows } = await sql<{ id: unknown }>`
    with new_delivery as (
      insert into deliveries (id, gift_id, purpose, channel, state, state_changed_at)
      values (${resend.deliveryId}, ${resend.giftId}, 'resend', 'email', 'pending', clock_timestamp())
    ), new_audit_record as (
      insert into audit_records (id, action, actor_kind, actor_id, subject_kind, subject_id, request_id, data, created_at)
      values (${resend.auditId}, 'gift.resent', 'api_key', ${resend.actorId}::uuid, 'gift', ${resend.giftId},
        ${resend.requestId}, '{}', clock_timestamp())
    )
    insert into outbox (queue, body, group_id, trace_header, available_at)
    values (${outbox.queue}, ${outbox.body}, ${outbox.group_id}, ${outbox.trace_header},
      clock_timestamp() + make_interval(secs => ${outboxLeaseSeconds}))
    returning id`.execute(trx);
  return String(rows[0]?.id);
}
