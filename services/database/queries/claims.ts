import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';
import type { Binding, Channel, GiftState, VoucherState } from '../states.ts';
import { briefly } from './briefly.ts';

/** A gift as its claim link sees it: what the page shows, and what is needed to claim. */
export type ClaimableRow = {
  id: string;
  state: GiftState;
  channel: Channel;
  amount_minor: number;
  currency: string;
  binding: Binding;
  claim_version: number;
  expires_at: Date | null;
  expired: boolean;
  sender_name: string;
  recipient_id: string;
  sealed: Buffer;
  wrapped_key: Buffer | null;
  keyring_key_id: string;
  voucher_id: string | null;
  voucher_state: VoucherState | null;
  code_salt: Buffer | null;
  claim_id: string | null;
  claim_key: string | null;
  claimed_at: Date | null;
  /** of the gift's row: who changes the gift compares it */
  version: string;
};

export async function findClaimable(db: Kysely<Database>, giftId: string): Promise<ClaimableRow | undefined> {
  return (await selectClaimable(giftId).execute(db)).rows[0];
}

export type ClaimInsert = {
  id: string;
  giftId: string;
  voucherId: string;
  binding: Binding;
  idempotencyKey: string;
  requestId: string | null;
  auditId: string;
  version: string;
};

/**
 * The claim, the gift's state and the audit record, in one statement, for a gift that is still as it was read.
 * @returns when it was made, by the database's clock as all of a gift's story; null when the gift has changed
 */
export async function insertClaim(db: Kysely<Database>, claim: ClaimInsert): Promise<Date | null> {
  const { rows } = await sql<{ at: Date }>`
    with ${briefly}, moved as (
      update gifts set state = 'claimed', state_changed_at = clock_timestamp()
      where id = ${claim.giftId} and xmin::text = ${claim.version} and (select bounded from briefly)
      returning id, state_changed_at as at
    ), new_claim as (
      insert into claims (id, gift_id, voucher_id, binding, idempotency_key, created_at)
      select ${claim.id}::uuid, id, ${claim.voucherId}::uuid, ${claim.binding}, ${claim.idempotencyKey},
        at from moved
    ), new_audit_record as (
      insert into audit_records (id, action, actor_kind, subject_kind, subject_id, request_id, data, created_at)
      select ${claim.auditId}::uuid, 'gift.claimed', 'recipient', 'gift', id, ${claim.requestId},
        jsonb_build_object('claim_id', ${claim.id}::text, 'binding', ${claim.binding}::text),
        at from moved
    )
    select at from moved`.execute(db);
  return rows[0]?.at ?? null;
}

function selectClaimable(giftId: string) {
  return sql<ClaimableRow>`
    select g.id, g.state, g.channel, g.amount_minor, g.currency, g.binding, g.claim_version, g.expires_at,
      coalesce(g.expires_at <= clock_timestamp(), false) as expired, s.name as sender_name,
      r.id as recipient_id, r.sealed, r.wrapped_key, r.keyring_key_id,
      v.id as voucher_id, v.state as voucher_state, v.code_salt,
      c.id as claim_id, c.idempotency_key as claim_key, c.created_at as claimed_at,
      g.xmin::text as version
    from gifts g
    join senders s on s.id = g.sender_id
    join recipients r on r.id = g.recipient_id
    left join vouchers v on v.gift_id = g.id
    left join claims c on c.gift_id = g.id
    where g.id = ${giftId}`;
}
