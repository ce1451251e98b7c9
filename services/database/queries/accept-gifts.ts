import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';
import type { Binding, Channel, GiftState } from '../states.ts';

/** One gift to insert with all that belongs to it. Bytes are base64: the whole set travels as one JSON parameter. */
export type GiftInsert = {
  id: string;
  sender_id: string;
  currency: string;
  amount_minor: number;
  channel: Channel;
  state: GiftState;
  binding: Binding;
  deliver_at: string | null;
  expires_at: string | null;
  external_id: string | null;
  metadata: Record<string, string>;
  request_id: string | null;
  created_at: string;
  recipient: {
    id: string;
    blind_index: string;
    masked: string;
    sealed: string;
    wrapped_key: string;
    keyring_key_id: string;
  };
  transfer_id: string;
  audit: { id: string; actor_id: string | null; data: Record<string, unknown> };
  outbox: { queue: string; body: string; group_id: string | null; trace_header: string | null } | null;
  /** the idempotency key to claim with it, and the answer to keep; the gift is inserted only if the key is fresh */
  claim: {
    scope_id: string;
    key: string;
    /** base64 */
    fingerprint: string;
    status: number;
    /** holds the gift's id, so no two are equal */
    body: unknown;
    location: string | null;
  } | null;
};

/** `running`: another transaction holds the key; `taken`: the key has an answer; `unfunded`: no funding account. */
export type InsertedGift = {
  id: string;
  outcome: 'accepted' | 'running' | 'taken' | 'unfunded';
  outbox_id: string | null;
};

/**
 * Inserts gifts, recipients, reservations, audit records, outbox rows and the keys that they claim in one statement,
 * so that an accept costs one round trip however many gifts it has, and no lock is held while anything travels. What
 * is not accepted leaves nothing behind. A twin that is still running is not waited for: its advisory lock tells.
 *
 * @param outboxLeaseSeconds how long the calling process has to publish the rows before others may
 */
export async function insertAcceptedGifts(
  db: Kysely<Database>,
  gifts: readonly GiftInsert[],
  outboxLeaseSeconds: number,
): Promise<InsertedGift[]> {
  const { rows } = await sql<InsertedGift>`
    with input as (
      select * from json_to_recordset(${JSON.stringify(gifts)}::json) as gift (
        id uuid, sender_id uuid, currency text, amount_minor bigint, channel text, state text, binding text,
        deliver_at timestamptz, expires_at timestamptz, external_id text, metadata jsonb, request_id text,
        created_at timestamptz, recipient jsonb, transfer_id uuid, audit jsonb, outbox jsonb, claim json)
    ), turns as materialized (
      select id, case when json_typeof(claim) = 'object' then
        pg_try_advisory_xact_lock(hashtextextended((claim ->> 'scope_id') || ':' || (claim ->> 'key'), 0))
        else true end as got
      from input
    ), possible as materialized (
      select input.*, (recipient ->> 'id')::uuid as recipient_id, f.id as funding_account_id,
        available.id as available_id, reserved.id as reserved_id
      from input
      join turns on turns.id = input.id and turns.got
      join funding_accounts f on f.sender_id = input.sender_id and f.currency = input.currency
      join ledger_accounts available on available.funding_account_id = f.id and available.kind = 'available'
      join ledger_accounts reserved on reserved.funding_account_id = f.id and reserved.kind = 'reserved'
    ), fresh as (
      insert into idempotency_keys (scope_id, key, fingerprint, status, body, location)
      select (claim ->> 'scope_id')::uuid, claim ->> 'key', decode(claim ->> 'fingerprint', 'base64'),
        (claim ->> 'status')::integer, claim -> 'body', claim ->> 'location'
      from possible where json_typeof(claim) = 'object'
      on conflict do nothing
      returning body::text
    ), funded as materialized (
      select * from possible
      where json_typeof(claim) is distinct from 'object' or (claim -> 'body')::text in (select body from fresh)
    ), new_recipients as (
      insert into recipients (id, kind, blind_index, masked, sealed, wrapped_key, keyring_key_id)
      select recipient_id, channel, decode(recipient ->> 'blind_index', 'base64'), recipient ->> 'masked',
        decode(recipient ->> 'sealed', 'base64'), decode(recipient ->> 'wrapped_key', 'base64'),
        recipient ->> 'keyring_key_id'
      from funded
    ), new_gifts as (
      insert into gifts (id, sender_id, funding_account_id, recipient_id, channel, state, amount_minor, currency,
        binding, deliver_at, expires_at, external_id, metadata, request_id, created_at, state_changed_at)
      select id, sender_id, funding_account_id, recipient_id, channel, state, amount_minor, currency,
        binding, deliver_at, expires_at, external_id, metadata, request_id, created_at, created_at
      from funded
    ), new_audit_records as (
      insert into audit_records (id, action, actor_kind, actor_id, subject_kind, subject_id, request_id, data, created_at)
      select (audit ->> 'id')::uuid, 'gift.accepted', 'api_key', (audit ->> 'actor_id')::uuid, 'gift', id, request_id,
        audit -> 'data', created_at
      from funded
    ), new_outbox as (
      insert into outbox (queue, body, group_id, trace_header, created_at, available_at)
      select outbox ->> 'queue', outbox ->> 'body', outbox ->> 'group_id', outbox ->> 'trace_header',
        created_at, clock_timestamp() + make_interval(secs => ${outboxLeaseSeconds})
      from funded where jsonb_typeof(outbox) = 'object'
      returning id, body
    ), new_transfers as (
      insert into ledger_transfers (id, kind, gift_id, created_at)
      select transfer_id, 'reserve', id, created_at from funded
    ), new_entries as (
      insert into ledger_entries (transfer_id, account_id, currency, amount_minor)
      select transfer_id, available_id, currency, -amount_minor from funded
      union all
      select transfer_id, reserved_id, currency, amount_minor from funded
    )
    select input.id, new_outbox.id as outbox_id,
      case when funded.id is not null then 'accepted' when not turns.got then 'running'
        when possible.id is not null then 'taken' else 'unfunded' end as outcome
    from input
    join turns on turns.id = input.id
    left join possible on possible.id = input.id
    left join funded on funded.id = input.id
    left join new_outbox on new_outbox.body = funded.outbox ->> 'body'`.execute(db);
  return rows.map((row) => ({ ...row, outbox_id: row.outbox_id === null ? null : String(row.outbox_id) }));
}
