import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Database } from '../schema.ts';
import type { ActorKind, FailureClass, GiftState } from '../states.ts';
import { briefly } from './briefly.ts';
import type { IdempotencyClaim } from './idempotency.ts';
import { freshFrom, type OnceOutcome, type OnceRow, onceOutcome, turnOf } from './once.ts';
import { postedFrom } from './post-transfers.ts';

export type GiftEndInput = {
  gift_id: string;
  transfer_id: string;
  audit_id: string;
  /** of the gift's row as it was read; null: whatever it is by now */
  version: string | null;
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
  /** whether gifts that somebody else has locked are left for later, and no other lock is waited for long either */
  passLocked?: boolean;
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
  db: Kysely<Database>,
  input: GiftEndInput[],
  end: GiftEnd,
): Promise<EndedGift[]> {
  const { rows } = await sql<EndedGift>`
    ${ending(input, end, null)}
    select id, state as was from locked`.execute(db);
  return rows;
}

/** When a gift ends, and the key that its end is to be answered under. */
export type GiftEndOnce = { claim: IdempotencyClaim; at: Date };

/** The same for one gift as it was read, together with the key that asks for it: one round trip, and no lock outlives it. */
export async function endGiftOnce(
  db: Kysely<Database>,
  input: GiftEndInput,
  end: GiftEnd,
  once: GiftEndOnce,
): Promise<OnceOutcome> {
  const { rows } = await sql<OnceRow>`
    ${ending([input], end, once)}
    select (select got from turn) as got, exists (select from candidates) as found, exists (select from locked) as done`.execute(
    db,
  );
  return onceOutcome(rows[0]);
}

function ending(input: GiftEndInput[], end: GiftEnd, once: GiftEndOnce | null): RawBuilder<unknown> {
  const isBrief = once !== null || end.passLocked === true;
  return sql`
    with input as (
      select * from json_to_recordset(${JSON.stringify(input)}::json) as ending (
        gift_id uuid, transfer_id uuid, audit_id uuid, version text, class text, code text)
    ), ${isBrief ? briefly : sql`briefly as (select true as bounded)`}, ${turnOf(once?.claim ?? null)},
    candidates as materialized (
      -- One by one, in one order: a condition on both in a subquery would read all gifts there are.
      select gift.* from (select gift_id, version from input order by gift_id) asked
      cross join lateral (
        select g.id, g.state, g.funding_account_id, g.currency, g.amount_minor, g.request_id from gifts g
        where g.id = asked.gift_id and coalesce(asked.version, g.xmin::text) = g.xmin::text
          and g.state = any (${end.from}::text[]) and (select got from turn) and (select bounded from briefly)
        for no key update ${end.passLocked ? sql`skip locked` : sql``}
      ) gift
    ), ${freshFrom(once?.claim ?? null, sql`candidates`)}, locked as materialized (
      select * from candidates where exists (select from fresh)
    ), ended as (
      update gifts g set state = ${end.to}, lease_until = null,
        state_changed_at = coalesce(${once?.at ?? null}::timestamptz, clock_timestamp()),
        failure_class = coalesce(input.class, g.failure_class), failure_code = coalesce(input.code, g.failure_code)
      from locked join input on input.gift_id = locked.id where g.id = locked.id
    ), voided as (
      update vouchers v set state = ${end.to === 'expired' ? 'expired' : 'cancelled'}, balance_minor = 0
      from locked where v.gift_id = locked.id
    ), moves as (
      select input.transfer_id as id, case when locked.state = 'delivered' then 'return' else 'release' end as kind,
        'gift' as subject_kind, locked.id as subject_id, null::uuid as cause_id, locked.funding_account_id,
        locked.currency, locked.amount_minor
      from locked join input on input.gift_id = locked.id
    ), ${postedFrom(sql`moves`)}, new_audit_records as (
      insert into audit_records (id, action, actor_kind, actor_id, subject_kind, subject_id, request_id, data, created_at)
      select input.audit_id, ${`gift.${end.to}`}, ${end.actorKind}, ${end.actorId}::uuid, 'gift', locked.id,
        coalesce(${end.requestId}, locked.request_id), jsonb_strip_nulls(jsonb_build_object('from', locked.state,
          'class', input.class, 'code', input.code)), clock_timestamp()
      from locked join input on input.gift_id = locked.id
    )`;
}
