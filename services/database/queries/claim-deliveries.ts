import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Database } from '../schema.ts';
import type { Channel, DeliveryPurpose, DeliveryState, GiftState } from '../states.ts';

/** One message that asks for a delivery. The ids are used where rows have to be made. Bytes are base64. */
export type GiftClaimInput = {
  gift_id: string;
  delivery_id: string;
  attempt_id: string;
  voucher_id: string;
  code_salt: string;
  code_hash: string;
  message_id: string;
  receive_count: number;
};

export type DeliveryClaimInput = Pick<
  GiftClaimInput,
  'delivery_id' | 'attempt_id' | 'message_id' | 'receive_count'
>;

/** Everything that sending takes, read in the statement that claimed it. */
export type ClaimedRow = {
  delivery_id: string;
  gift_id: string;
  purpose: DeliveryPurpose;
  channel: Channel;
  attempts: number;
  attempts_forgiven: number;
  /** the worker before is gone, and the mail of its attempt may be out: that attempt was taken over, not a new one begun */
  maybe_out: boolean;
  /** attempts that ended in doubt */
  in_doubt: number;
  /** since the delivery was first tried, or asked for */
  age_seconds: number;
  /** since the gift was accepted, or was to be delivered */
  waited_seconds: number;
  sender_id: string;
  sender_name: string;
  amount_minor: number;
  currency: string;
  claim_version: number;
  expires_at: Date | null;
  request_id: string | null;
  recipient_id: string;
  recipient_kind: Channel;
  sealed: Buffer;
  wrapped_key: Buffer | null;
  keyring_key_id: string;
};

/**
 * Takes the gifts that may be delivered now, mints their vouchers, opens their deliveries and attempts: one statement
 * for all messages of a receive. Gifts in other states, or leased by a live worker, are left out of the answer. A gift that
 * counts as delivered because its mail is in doubt is taken once more when its repeat is due, and stays delivered.
 * An attempt whose worker is gone is closed and followed by a new one; that of a mail that may be out is taken over instead.
 */
export async function claimQueuedGifts(
  db: Kysely<Database>,
  input: GiftClaimInput[],
  leaseSeconds: number,
): Promise<ClaimedRow[]> {
  const { rows } = await sql<ClaimedRow>`
    with input as (
      select * from json_to_recordset(${JSON.stringify(input)}::json) as claim (
        gift_id uuid, delivery_id uuid, attempt_id uuid, voucher_id uuid, code_salt text, code_hash text,
        message_id text, receive_count integer)
    ), locked as materialized (
      select g.* from gifts g
      where g.id in (select gift_id from input)
        and (g.state = 'queued' or (g.state = 'delivering' and g.lease_until < clock_timestamp())
          or (g.state = 'delivered' and exists (select 1 from deliveries d where d.gift_id = g.id and d.purpose = 'gift'
            and (d.state = 'deferred' or (d.state = 'sending' and d.lease_until < clock_timestamp()))
            and ${repeatLeft('d')} = 0)))
        and (g.expires_at is null or g.expires_at > clock_timestamp())
      order by g.id for no key update skip locked
    ), moved as (
      update gifts g set state = 'delivering', lease_until = ${leaseEnd(leaseSeconds)}, dead_lettered_at = null,
        failure_class = null, failure_code = null, state_changed_at = clock_timestamp()
      from locked where g.id = locked.id and locked.state <> 'delivered'
    ), minted as (
      insert into vouchers (id, gift_id, amount_minor, balance_minor, currency, code_salt, code_hash)
      select voucher_id, id, amount_minor, amount_minor, currency, decode(code_salt, 'base64'), decode(code_hash, 'base64')
      from locked join input on input.gift_id = locked.id
      on conflict (gift_id) do nothing
    ), claimed as (
      insert into deliveries (id, gift_id, purpose, channel, state, attempts, lease_until, state_changed_at)
      select delivery_id, id, 'gift', channel, 'sending', 1, ${leaseEnd(leaseSeconds)}, clock_timestamp()
      from locked join input on input.gift_id = locked.id
      on conflict (gift_id, purpose) where purpose in ('gift', 'reminder') do update
        set state = 'sending', lease_until = excluded.lease_until, ${nextAttempt('deliveries')},
          dead_lettered_at = null, state_changed_at = excluded.state_changed_at
        -- A repeat leaves the gift's row as it is, so its delivery's has to tell that nobody took it a moment ago.
        where deliveries.state <> 'sending' or deliveries.lease_until < clock_timestamp()
          or exists (select 1 from locked where locked.id = deliveries.gift_id and locked.state <> 'delivered')
      returning *
    ), ${openAttempts(sql`input.gift_id = claimed.gift_id`)}
    ${selectWork}`.execute(db);
  return rows;
}

/** The same for resends and reminders, which have a delivery already. A reminder whose worker died is not taken again. */
export async function claimPendingDeliveries(
  db: Kysely<Database>,
  input: DeliveryClaimInput[],
  leaseSeconds: number,
): Promise<ClaimedRow[]> {
  const { rows } = await sql<ClaimedRow>`
    with input as (
      select * from json_to_recordset(${JSON.stringify(input)}::json) as claim (
        delivery_id uuid, attempt_id uuid, message_id text, receive_count integer)
    ), locked as materialized (
      select d.id from deliveries d join gifts g on g.id = d.gift_id
      where d.id in (select delivery_id from input) and d.purpose <> 'gift' and g.state = 'delivered'
        and (d.state in ('pending', 'deferred')
          or (d.state = 'sending' and d.purpose = 'resend' and d.lease_until < clock_timestamp()))
        and ${repeatLeft('d')} = 0
      order by d.id for no key update of d skip locked
    ), claimed as (
      update deliveries d set state = 'sending', lease_until = ${leaseEnd(leaseSeconds)}, ${nextAttempt('d')},
        dead_lettered_at = null, state_changed_at = clock_timestamp()
      from locked where d.id = locked.id
      returning d.*
    ), ${openAttempts(sql`input.delivery_id = claimed.id`)}
    ${selectWork}`.execute(db);
  return rows;
}

export type UnclaimedGift = {
  id: string;
  state: GiftState;
  lease_left_seconds: number;
  expired: boolean;
  /** of a delivered gift whose mail is in doubt and will be sent once more; null of all others */
  repeat_left_seconds: number | null;
};
export type UnclaimedDelivery = {
  id: string;
  state: DeliveryState;
  purpose: DeliveryPurpose;
  gift_state: GiftState;
  lease_left_seconds: number;
};

/** Why gifts were not claimed, as far as their rows tell. */
export async function findUnclaimedGifts(db: Kysely<Database>, ids: string[]): Promise<UnclaimedGift[]> {
  const { rows } = await sql<UnclaimedGift>`
    select gifts.id, gifts.state, ${leaseLeft('gifts')} as lease_left_seconds,
      coalesce(expires_at <= clock_timestamp(), false) as expired,
      case when d.id is not null then greatest(${leaseLeft('d')}, ${repeatLeft('d')}) end as repeat_left_seconds
    from gifts left join deliveries d on d.gift_id = gifts.id and d.purpose = 'gift' and d.state in ('deferred', 'sending')
    where gifts.id = any (${ids}::uuid[])`.execute(db);
  return rows;
}

export async function findUnclaimedDeliveries(
  db: Kysely<Database>,
  ids: string[],
): Promise<UnclaimedDelivery[]> {
  const { rows } = await sql<UnclaimedDelivery>`
    select d.id, d.state, d.purpose, g.state as gift_state,
      greatest(${leaseLeft('d')}, ${repeatLeft('d')}) as lease_left_seconds
    from deliveries d join gifts g on g.id = d.gift_id where d.id = any (${ids}::uuid[])`.execute(db);
  return rows;
}

/** Leases are measured by the database's clock alone, whatever the pods' clocks say. */
function leaseEnd(leaseSeconds: number): RawBuilder<Date> {
  return sql`clock_timestamp() + make_interval(secs => ${leaseSeconds})`;
}

/** Seconds, 0 when nobody has a lease any more. */
function leaseLeft(table: 'gifts' | 'd'): RawBuilder<number> {
  const until = sql.ref(`${table}.lease_until`);
  return sql`greatest(0, coalesce(extract(epoch from ${until} - clock_timestamp()), 0))::float8`;
}

/**
 * Seconds until a mail in doubt may be sent once more, 0 for all others: a message that comes early, because SQS brought it
 * twice or somebody redrove it, must not shorten the time in which the first copy may still show itself.
 */
function repeatLeft(delivery: 'd'): RawBuilder<number> {
  return sql`coalesce((select greatest(0, extract(epoch from a.next_attempt_at - clock_timestamp()))
    from delivery_attempts a where a.delivery_id = ${sql.ref(`${delivery}.id`)} and a.number = ${sql.ref(`${delivery}.attempts`)}
      and a.outcome = 'in_doubt'), 0)::float8`;
}

/** Decided on the row as it is when it is taken: its worker may have said a moment ago that the mail is on its way. */
function nextAttempt(delivery: 'deliveries' | 'd'): RawBuilder<unknown> {
  const row = (column: string) => sql.ref(`${delivery}.${column}`);
  const takenOver = sql`${row('state')} = 'sending' and ${row('maybe_out_since')} is not null`;
  return sql`attempts = ${row('attempts')} + case when ${takenOver} then 0 else 1 end,
    maybe_out_since = case when ${takenOver} then ${row('maybe_out_since')} end`;
}

/** Attempts that an earlier worker left open are closed as interrupted; the new ones are numbered after them. */
function openAttempts(inputOfClaimed: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`interrupted as (
      update delivery_attempts a set outcome = 'interrupted', finished_at = clock_timestamp()
      from claimed where a.delivery_id = claimed.id and a.outcome = 'started' and claimed.maybe_out_since is null
    ), opened as (
      insert into delivery_attempts (id, delivery_id, number, message_id, receive_count, started_at)
      select attempt_id, claimed.id, claimed.attempts, message_id, receive_count, clock_timestamp()
      from claimed join input on ${inputOfClaimed} where claimed.maybe_out_since is null
    )`;
}

const selectWork = sql`
    select claimed.id as delivery_id, g.id as gift_id, claimed.purpose, claimed.channel, claimed.attempts,
      claimed.attempts_forgiven, claimed.maybe_out_since is not null as maybe_out, extract(epoch from clock_timestamp() - claimed.created_at)::float8 as age_seconds,
      extract(epoch from clock_timestamp() - greatest(g.created_at, g.deliver_at))::float8 as waited_seconds,
      (select count(*)::int from delivery_attempts a
        where a.delivery_id = claimed.id and a.outcome = 'in_doubt') as in_doubt, g.sender_id, s.name as sender_name, g.amount_minor, g.currency, g.claim_version,
      g.expires_at, g.request_id, r.id as recipient_id, r.kind as recipient_kind, r.sealed, r.wrapped_key,
      r.keyring_key_id
    from claimed
    join gifts g on g.id = claimed.gift_id
    join senders s on s.id = g.sender_id
    join recipients r on r.id = g.recipient_id`;
