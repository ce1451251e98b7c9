import { sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import type { ActorKind, FailureClass, GiftState } from '../states.ts';

export type GiftEndInput = {
  gift_id: string;
  transfer_id: string;
  audit_id: string;
  /** what it failed of; null keeps what the gift says */
  class: FailureClass | null;
  code: string | null;
};

export type GiftEnd = {
  to: Extract<GiftState, 'cancelled' | 'expired' | 'failed' | 'rejected'>;
  from: GiftState[];
  actorKind: ActorKind;
  actorId: string | null;
  requestId: string | null;
};

export type EndedGift = { id: string; was: GiftState };

/**
 * Ends gifts: state, voucher, money back to the sender and audit record, in one statement; in the same one the database ends
 * what hangs on them, deliveries and attempts (gifts_end_deliveries). Money
 * that was only reserved is released; money that went into a voucher is returned. Gifts in other states are left alone.
 * A worker that is at one of them finds, when it settles, that it was overtaken. What no request ended is recorded under
 * the request that made the gift.
 */
export async function endGiftsInStates(
  trx: Transaction<Database>,
  input: GiftEndInput[],
  end: GiftEnd,
): Promise<EndedGift[]> {
  const { rows } = await sql<EndedGift>`
    with input as (
      select * from json_to_recordset(${JSON.stringify(input)}::json) as ending (
        gift_id uuid, transfer_id uuid, audit_id uuid, class text, code text)
    ), locked as materialized (
      select g.id, g.state, g.funding_account_id, g.currency, g.amount_minor, g.request_id from gifts g
      where g.id in (select gift_id from input) and g.state = any (${end.from}::text[])
      order by g.id for no key update
    ), ended as (
      update gifts g set state = ${end.to}, lease_until = null, state_changed_at = clock_timestamp(),
        failure_class = coalesce(input.class, g.failure_class), failure_code = coalesce(input.code, g.failure_code)
      from locked join input on input.gift_id = locked.id where g.id = locked.id
    ), voided as (
      update vouchers v set state = ${end.to === 'expired' ? 'expired' : 'cancelled'}, balance_minor = 0
      from locked where v.gift_id = locked.id
    ), refunds as (
      select input.transfer_id, locked.*, case when locked.state = 'delivered' then 'return' else 'release' end as kind,
        (select a.id from ledger_accounts a where case when locked.state = 'delivered'
          then a.funding_account_id is null and a.kind = 'outstanding' and a.currency = locked.currency
          else a.funding_account_id = locked.funding_account_id and a.kind = 'reserved' end) as source_id,
        (select a.id from ledger_accounts a
          where a.funding_account_id = locked.funding_account_id and a.kind = 'available') as available_id
      from locked join input on input.gift_id = locked.id
    ), new_transfers as (
      insert into ledger_transfers (id, kind, gift_id) select transfer_id, kind, id from refunds
    ), new_entries as (
      insert into ledger_entries (transfer_id, account_id, currency, amount_minor)
      select transfer_id, source_id, currency, -amount_minor from refunds
      union all
      select transfer_id, available_id, currency, amount_minor from refunds
    ), new_audit_records as (
      insert into audit_records (id, action, actor_kind, actor_id, subject_kind, subject_id, request_id, data, created_at)
      select input.audit_id, ${`gift.${end.to}`}, ${end.actorKind}, ${end.actorId}::uuid, 'gift', locked.id,
        coalesce(${end.requestId}, locked.request_id), jsonb_strip_nulls(jsonb_build_object('from', locked.state,
          'class', input.class, 'code', input.code)), clock_timestamp()
      from locked join input on input.gift_id = locked.id
    )
    select id, state as was from locked`.execute(trx);
  return rows;
}
