import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import type { FailureClass, GiftState } from '../states.ts';

export type LetterSubjectRow = {
  /** the gift or delivery that was asked for */
  subject_id: string;
  gift_id: string;
  state: GiftState;
  failure_class: FailureClass | null;
  failure_code: string | null;
  leased: boolean;
  dead_lettered_at: Date | null;
};

/**
 * Where gift `g` stands as far as a message goes. With a resend, a reminder or the repeat of a mail in doubt `d` that is still to
 * be sent it counts as `delivering`: it is delivered already, and yet the message is needed.
 */
export const stateForMessage = sql<GiftState>`case
  when g.state = 'delivered' and d.state in ('pending', 'sending', 'deferred') then 'delivering' else g.state end`;

/** A gift that is on its way and with no worker: its message has yet to be handled. */
const giftWithoutWorker = sql<boolean>`state in ('queued', 'delivering') and coalesce(lease_until < clock_timestamp(), true)`;

/** The same of a resend or reminder. A reminder whose worker died is never sent again. */
const sendWithoutWorker = sql<boolean>`purpose <> 'gift' and (state in ('pending', 'deferred')
  or (state = 'sending' and purpose = 'resend' and lease_until < clock_timestamp()))`;

/** Where the gifts and deliveries that messages are about stand now. */
export async function findLetterSubjects(
  db: Kysely<Database>,
  giftIds: string[],
  deliveryIds: string[],
): Promise<LetterSubjectRow[]> {
  const { rows } = await sql<LetterSubjectRow>`
    select g.id as subject_id, g.id as gift_id, ${stateForMessage}, g.failure_class, g.failure_code, g.dead_lettered_at,
      coalesce(g.lease_until > clock_timestamp() or (g.state = 'delivered' and d.lease_until > clock_timestamp()), false)
        as leased
    from gifts g left join deliveries d on d.gift_id = g.id and d.purpose = 'gift' where g.id = any (${giftIds}::uuid[])
    union all
    select d.id, g.id, ${stateForMessage}, null, null, d.dead_lettered_at,
      coalesce(d.lease_until > clock_timestamp(), false)
    from deliveries d join gifts g on g.id = d.gift_id where d.id = any (${deliveryIds}::uuid[])`.execute(db);
  return rows;
}

/**
 * Gives gifts and deliveries that are about to be redriven their whole retry budget again, and takes the mark of death
 * from them. What is settled, or with a worker, is left alone.
 *
 * @returns the gifts that wait in the queue again, with the time of it
 */
export async function resetRetryBudgets(
  trx: Transaction<Database>,
  subjectIds: string[],
): Promise<ReadonlyMap<string, Date>> {
  if (subjectIds.length === 0) return new Map();
  const { rows } = await sql<{ id: string; at: Date }>`
    with locked as materialized (
      select id from gifts where id = any (${subjectIds}::uuid[]) and ${giftWithoutWorker}
      order by id for no key update
    ), revived as (
      update gifts g set dead_lettered_at = null, state_changed_at = clock_timestamp()
      from locked where g.id = locked.id
      returning g.id, g.state_changed_at as at
    ), forgiven as (
      update deliveries d set attempts_forgiven = d.attempts, dead_lettered_at = null,
        state_changed_at = clock_timestamp()
      where d.id = any (array(
        select own.id from locked join deliveries own on own.gift_id = locked.id and own.purpose = 'gift'
        union all
        select id from deliveries where id = any (${subjectIds}::uuid[]) and ${sendWithoutWorker}))
    )
    select id, at from revived`.execute(trx);
  return new Map(rows.map(({ id, at }) => [id, at]));
}

export type RedriveAudit = {
  audit_id: string;
  gift_id: string;
  request_id: string | null;
  rule: string | null;
  redrive: number;
  at: string;
};

/** That gifts were sent to their queue again. */
export async function recordRedrives(trx: Transaction<Database>, input: RedriveAudit[]): Promise<void> {
  if (input.length === 0) return;
  await sql`
    insert into audit_records (id, action, actor_kind, subject_kind, subject_id, request_id, data, created_at)
    select audit_id, 'gift.queued', 'reconciler', 'gift', gift_id, request_id,
      jsonb_build_object('reason', 'redriven from the dead-letter queue', 'rule', rule, 'redrive', redrive), at
    from json_to_recordset(${JSON.stringify(input)}::json) as redriven (
      audit_id uuid, gift_id uuid, request_id text, rule text, redrive integer, at timestamptz)`.execute(trx);
}

/** Locks gifts that are to be failed; those that a worker is delivering at this moment are left out of the answer. */
export async function lockUnleasedGifts(
  trx: Transaction<Database>,
  giftIds: string[],
): Promise<ReadonlySet<string>> {
  const { rows } = await sql<{ id: string; leased: boolean }>`
    select id, coalesce(lease_until > clock_timestamp(), false) as leased from gifts
    where id = any (${giftIds}::uuid[]) order by id for no key update`.execute(trx);
  return new Set(rows.filter(({ leased }) => !leased).map(({ id }) => id));
}

/** Resends and reminders that will not be tried again. One that a worker is sending is left to it. */
export async function failDeliveries(trx: Transaction<Database>, deliveryIds: string[]): Promise<void> {
  if (deliveryIds.length === 0) return;
  await sql`
    update deliveries set state = 'failed', lease_until = null, state_changed_at = clock_timestamp()
    where id = any (${deliveryIds}::uuid[]) and ${sendWithoutWorker}`.execute(trx);
}

/**
 * Marks what has its message in the dead-letter queue. SQS moves a message there by itself when it was received too
 * often, and tells nobody: without the mark, the sweep would take the message for lost and make another. The
 * same goes for one whose worker died each time. What is locked is being claimed or settled, and so not lost either.
 */
export async function markDeadLettered(trx: Transaction<Database>, subjectIds: string[]): Promise<void> {
  if (subjectIds.length === 0) return;
  await sql`
    with dead_gifts as materialized (
      select id from gifts
      where id = any (${subjectIds}::uuid[]) and ${giftWithoutWorker} and dead_lettered_at is null
      order by id for no key update skip locked
    ), dead_sends as materialized (
      select id from deliveries
      where id = any (${subjectIds}::uuid[]) and ${sendWithoutWorker} and dead_lettered_at is null
      order by id for no key update skip locked
    ), marked as (
      update gifts g set dead_lettered_at = clock_timestamp() from dead_gifts where g.id = dead_gifts.id
    )
    update deliveries d set dead_lettered_at = clock_timestamp() from dead_sends where d.id = dead_sends.id`.execute(
    trx,
  );
}
