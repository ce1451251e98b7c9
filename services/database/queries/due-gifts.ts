import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import type { ActorKind, GiftState } from '../states.ts';
import { now } from './now.ts';

export type DueGift = { id: string; sender_id: string; request_id: string | null };

/**
 * Locks at most `limit` gifts that are due, for the rest of the transaction. The limit stands in a materialized CTE:
 * inlined, a bad plan may run it once per outer row and lock everything. Rows locked elsewhere are left to whoever
 * holds them.
 */
async function lockDue(
  trx: Transaction<Database>,
  due: RawBuilder<unknown>,
  limit: number,
  except: readonly string[] = [],
): Promise<DueGift[]> {
  const { rows } = await sql<DueGift>`
    with due as materialized (
      select id, sender_id, request_id from gifts where id <> all (${except}::uuid[]) and ${due}
      limit ${limit} for no key update skip locked
    )
    select * from due`.execute(trx);
  return rows;
}

export function lockScheduledGifts(
  trx: Transaction<Database>,
  limit: number,
  except: readonly string[],
): Promise<DueGift[]> {
  const due = sql`state = 'scheduled' and deliver_at <= ${now} order by deliver_at`;
  return lockDue(trx, due, limit, except);
}

export type ExpiredGift = { id: string; state: GiftState; version: string };

/** Also gifts whose worker died while it was delivering them: nobody else would ever end those. Nothing is locked. */
export async function findExpiredGifts(
  db: Kysely<Database>,
  limit: number,
  except: readonly string[],
): Promise<ExpiredGift[]> {
  const { rows } = await sql<ExpiredGift>`
    select id, state, xmin::text as version from gifts
    where id <> all (${except}::uuid[]) and expires_at is not null
      and state in ('held', 'scheduled', 'queued', 'delivering', 'delivered')
      and expires_at <= ${now} and (lease_until is null or lease_until < clock_timestamp())
    order by expires_at limit ${limit}`.execute(db);
  return rows;
}

/** Takes gifts from workers whose lease has ended: only a queued gift may expire. What somebody has locked is left to them. */
export async function releaseLapsedGifts(db: Kysely<Database>, giftIds: string[]): Promise<void> {
  await sql`
    with lapsed as materialized (
      select id from gifts
      where id = any (${giftIds}::uuid[]) and state = 'delivering' and lease_until < clock_timestamp()
      order by id for no key update skip locked
    )
    update gifts g set state = 'queued', lease_until = null, state_changed_at = clock_timestamp()
    from lapsed where g.id = lapsed.id`.execute(db);
}

/** Not before half of a gift's time is over: the mail that brought it has just told when that of a short-lived one ends. */
export function lockGiftsToRemind(
  trx: Transaction<Database>,
  remindBeforeSeconds: number,
  limit: number,
  except: readonly string[],
): Promise<DueGift[]> {
  const due = sql`expires_at is not null and state = 'delivered' and reminded_at is null and channel = 'email'
    and expires_at > ${now} and expires_at <= ${now} + make_interval(secs => ${remindBeforeSeconds})
    and clock_timestamp() - state_changed_at >= expires_at - clock_timestamp()
    order by expires_at`;
  return lockDue(trx, due, limit, except);
}

export type QueuedGiftInput = {
  gift_id: string;
  audit_id: string;
  /** of the request that the gift came with */
  request_id: string | null;
  queue: string;
  body: string;
  group_id: string | null;
  trace_header: string | null;
};

/** Puts locked gifts (back) in the queue: state, outbox row, free for any relay at once, and audit record. */
export async function queueLockedGifts(
  trx: Transaction<Database>,
  input: QueuedGiftInput[],
  by: { actorKind: ActorKind; reason: string },
): Promise<void> {
  await sql`
    with input as (
      select * from json_to_recordset(${JSON.stringify(input)}::json) as queued (
        gift_id uuid, audit_id uuid, request_id text, queue text, body text, group_id text, trace_header text)
    ), moved as (
      update gifts g set state = 'queued', lease_until = null, dead_lettered_at = null,
        state_changed_at = clock_timestamp()
      from input where g.id = input.gift_id
    ), new_outbox as (
      insert into outbox (queue, body, group_id, trace_header, available_at)
      select queue, body, group_id, trace_header, clock_timestamp() from input
    )
    insert into audit_records (id, action, actor_kind, subject_kind, subject_id, request_id, data, created_at)
    select audit_id, 'gift.queued', ${by.actorKind}, 'gift', gift_id, request_id,
      jsonb_build_object('reason', ${by.reason}::text), clock_timestamp()
    from input`.execute(trx);
}

export type ReminderInput = QueuedGiftInput & { delivery_id: string };

/** One reminder per gift for ever: reminded_at and the unique index on its delivery both say so. */
export async function insertReminders(trx: Transaction<Database>, input: ReminderInput[]): Promise<void> {
  await sql`
    with input as (
      select * from json_to_recordset(${JSON.stringify(input)}::json) as reminder (
        gift_id uuid, delivery_id uuid, audit_id uuid, request_id text, queue text, body text, group_id text,
        trace_header text)
    ), reminded as (
      update gifts g set reminded_at = clock_timestamp() from input where g.id = input.gift_id
    ), new_deliveries as (
      insert into deliveries (id, gift_id, purpose, channel, state, state_changed_at)
      select delivery_id, gift_id, 'reminder', 'email', 'pending', clock_timestamp() from input
    ), new_outbox as (
      insert into outbox (queue, body, group_id, trace_header, available_at)
      select queue, body, group_id, trace_header, clock_timestamp() from input
    )
    insert into audit_records (id, action, actor_kind, subject_kind, subject_id, request_id, data, created_at)
    select audit_id, 'gift.expiring', 'schedule', 'gift', gift_id, request_id, '{}', clock_timestamp() from input`.execute(
    trx,
  );
}

export async function queueLockedDeliveries(
  trx: Transaction<Database>,
  input: Omit<ReminderInput, 'audit_id' | 'gift_id' | 'request_id'>[],
): Promise<void> {
  await sql`
    with input as (
      select * from json_to_recordset(${JSON.stringify(input)}::json) as queued (
        delivery_id uuid, queue text, body text, group_id text, trace_header text)
    ), moved as (
      -- What may be out stays as its worker left it: back at its start, it would be sent once more at once. So does a repeat.
      update deliveries d set dead_lettered_at = null, state_changed_at = clock_timestamp(),
        state = case when stays then d.state else 'pending' end, lease_until = case when stays then d.lease_until end
      from input join deliveries found on found.id = input.delivery_id
        cross join lateral (select found.purpose = 'gift' or (found.state = 'sending' and found.maybe_out_since is not null) as stays) _
      where d.id = input.delivery_id
    )
    insert into outbox (queue, body, group_id, trace_header, available_at)
    select queue, body, group_id, trace_header, clock_timestamp() from input`.execute(trx);
}
