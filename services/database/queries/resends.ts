import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';
import { briefly } from './briefly.ts';
import type { IdempotencyClaim } from './idempotency.ts';
import { freshFrom, type OnceOutcome, type OnceRow, onceOutcome, turnOf } from './once.ts';

export type ResendHistory = {
  resends: number;
  /** seconds since the last mail was asked for, whatever for; null when none was */
  secondsSinceLast: number | null;
};

/** What was sent of a gift so far. Who resends changes the version of the gift: two requests can't both find room. */
export async function readResendHistory(db: Kysely<Database>, giftId: string): Promise<ResendHistory> {
  const { rows } = await sql<ResendHistory>`
    select count(*) filter (where purpose = 'resend')::int as resends,
      extract(epoch from clock_timestamp() - max(created_at))::float8 as "secondsSinceLast"
    from deliveries where gift_id = ${giftId}`.execute(db);
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

/**
 * The delivery, its outbox row and the audit record, in one statement with the key that asks for them, for a gift that is
 * still as it was read. The gift's row gets a new version: whoever has read it before must look again.
 */
export async function insertResend(
  db: Kysely<Database>,
  resend: ResendInsert,
  once: { claim: IdempotencyClaim | null; version: string },
  outboxLeaseSeconds: number,
): Promise<{ outcome: OnceOutcome; outboxId: string }> {
  const { outbox } = resend;
  const { rows } = await sql<OnceRow & { outbox_id: unknown }>`
    with ${briefly}, ${turnOf(once.claim)}, locked as materialized (
      select g.id from gifts g
      where g.id = ${resend.giftId} and g.xmin::text = ${once.version}
        and (select got from turn) and (select bounded from briefly)
      for no key update
    ), ${freshFrom(once.claim, sql`locked`)}, touched as (
      update gifts g set claim_version = g.claim_version from locked, fresh where g.id = locked.id
    ), new_delivery as (
      insert into deliveries (id, gift_id, purpose, channel, state, state_changed_at)
      select ${resend.deliveryId}::uuid, ${resend.giftId}::uuid, 'resend', 'email', 'pending', clock_timestamp() from fresh
    ), new_audit_record as (
      insert into audit_records (id, action, actor_kind, actor_id, subject_kind, subject_id, request_id, data, created_at)
      select ${resend.auditId}::uuid, 'gift.resent', 'api_key', ${resend.actorId}::uuid, 'gift', ${resend.giftId}::uuid,
        ${resend.requestId}, '{}', clock_timestamp() from fresh
    ), new_outbox as (
      insert into outbox (queue, body, group_id, trace_header, available_at)
      select ${outbox.queue}, ${outbox.body}, ${outbox.group_id}, ${outbox.trace_header},
        clock_timestamp() + make_interval(secs => ${outboxLeaseSeconds}) from fresh
      returning id
    )
    select (select got from turn) as got, exists (select from locked) as found, exists (select from fresh) as done,
      (select id from new_outbox) as outbox_id`.execute(db);
  return { outcome: onceOutcome(rows[0]), outboxId: String(rows[0]?.outbox_id) };
}
