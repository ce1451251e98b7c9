import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import type { DueGift } from './due-gifts.ts';
import { now } from './now.ts';
import type { QueueProgress } from './queue-progress.ts';

export type StrandedAge = {
  /** in one state for longer than this, a gift whose message is not waiting anywhere has lost it */
  stuckSeconds: number;
  /** how long the dead-letter queue keeps messages: what is dead-lettered has its message until then, */
  deadLetterRetentionSeconds: number;
  /** unless this run has seen all that is in there: then what nobody has seen there for `stuckSeconds` is gone */
  deadLettersSeen?: boolean;
  /** while messages wait in the queue: what proves that one is not among them; left out, the queue is drained */
  backlog?: {
    progress: QueueProgress;
    /** older than any message can be */
    lostSeconds: number;
  };
  /** uuids of gifts and deliveries whose message waits for a relay */
  inOutbox?: readonly string[];
};

/**
 * Gifts that wait for a message that no longer exists. A dead-lettered gift has one, in the dead-letter queue, until
 * that queue's retention has passed or it is seen to be missing there: somebody may have purged it. Rows locked elsewhere are left to whoever holds them.
 */
export async function lockStrandedGifts(
  trx: Transaction<Database>,
  age: StrandedAge,
  limit: number,
): Promise<DueGift[]> {
  const { rows } = await sql<DueGift>`
    with due as materialized (
      select g.id, g.sender_id, g.request_id from gifts g ${progressOf(age)}
      where ${strandedGift(age)} order by g.state_changed_at limit ${limit} for no key update of g skip locked
    )
    select * from due`.execute(trx);
  return rows;
}

/**
 * Repeats of mails in doubt whose message no longer exists: their gifts count as delivered, so that nobody else would miss them,
 * and the mail of a worker that died may never have left.
 */
export async function lockStrandedRepeats(
  trx: Transaction<Database>,
  age: StrandedAge,
  limit: number,
): Promise<StrandedDelivery[]> {
  return await lockDeliveries(trx, { age, where: strandedRepeat(age), limit });
}

export type StrandedDelivery = { id: string; gift_id: string; sender_id: string; request_id: string | null };

/** Resends and reminders whose message no longer exists. A reminder that was being sent is never sent again. */
export async function lockStrandedDeliveries(
  trx: Transaction<Database>,
  age: StrandedAge,
  limit: number,
): Promise<StrandedDelivery[]> {
  return await lockDeliveries(trx, { age, where: strandedDelivery(age), limit });
}

async function lockDeliveries(
  trx: Transaction<Database>,
  { age, where, limit }: { age: StrandedAge; where: RawBuilder<boolean>; limit: number },
): Promise<StrandedDelivery[]> {
  const { rows } = await sql<StrandedDelivery>`
    with due as materialized (
      select d.id, d.gift_id, g.sender_id, g.request_id from deliveries d join gifts g on g.id = d.gift_id
      ${progressOf(age)}
      where ${where}
      order by d.state_changed_at limit ${limit} for no key update of d skip locked
    )
    select * from due`.execute(trx);
  return rows;
}

/** How many the three above would find, each up to `limit`, without those whose ids are excepted. Locks nothing. */
export async function countStranded(
  db: Kysely<Database>,
  age: StrandedAge,
  { except, limit }: { except: readonly string[]; limit: number },
): Promise<{ gifts: number; deliveries: number }> {
  const { rows } = await sql<{ gifts: number; deliveries: number }>`
    select
      (select count(*) from (
        select 1 from gifts g ${progressOf(age)}
        where ${strandedGift(age)} and g.id <> all (${except}::uuid[]) limit ${limit}) found) as gifts,
      (select count(*) from (
        select 1 from deliveries d join gifts g on g.id = d.gift_id ${progressOf(age)}
        where ${strandedDelivery(age)} and d.id <> all (${except}::uuid[]) limit ${limit}) found)
      + (select count(*) from (
        select 1 from deliveries d join gifts g on g.id = d.gift_id ${progressOf(age)}
        where ${strandedRepeat(age)} and g.id <> all (${except}::uuid[]) limit ${limit}) found) as deliveries`.execute(
    db,
  );
  return rows[0] ?? { gifts: 0, deliveries: 0 };
}

function strandedGift(age: StrandedAge): RawBuilder<boolean> {
  return sql`g.state in ('queued', 'delivering')
    and (g.lease_until is null or g.lease_until < clock_timestamp())
    and ${isStranded('g', age)} and ${noAttemptIsDue(sql`own.gift_id = g.id and own.purpose = 'gift'`, age)}`;
}

function strandedDelivery(age: StrandedAge): RawBuilder<boolean> {
  return sql`d.purpose <> 'gift' and g.state = 'delivered'
    and (d.state in ('pending', 'deferred')
      or (d.state = 'sending' and d.purpose = 'resend' and d.lease_until < clock_timestamp()))
    and ${isStranded('d', age)} and ${noAttemptIsDue(sql`own.id = d.id`, age)}`;
}

/** Served by deliveries_open: of a delivered gift, only what is in doubt is open. */
function strandedRepeat(age: StrandedAge): RawBuilder<boolean> {
  const { inOutbox = [] } = age;
  return sql`d.purpose = 'gift' and g.state = 'delivered' and g.id <> all (${inOutbox}::uuid[])
    and d.state in ('deferred', 'sending') and (d.state = 'deferred' or d.lease_until < clock_timestamp())
    and ${isStranded('d', age)} and ${noAttemptIsDue(sql`own.id = d.id`, age)}`;
}

/** It stood still for long enough, its message waits in no other place, and its turn in the queue is over. */
function isStranded(table: 'g' | 'd', age: StrandedAge): RawBuilder<boolean> {
  const { stuckSeconds, deadLetterRetentionSeconds, backlog, inOutbox = [] } = age;
  const changedAt = sql.ref(`${table}.state_changed_at`);
  const diedAt = sql.ref(`${table}.dead_lettered_at`);
  const turnIsOver =
    backlog === undefined
      ? sql`true`
      : sql`(${changedAt} < ${secondsAgo(backlog.lostSeconds)}
          or ${changedAt} < coalesce(progress.mark, ${backlog.progress.everybody}::timestamptz) - interval '2 minutes')`;
  return sql`${changedAt} < ${secondsAgo(stuckSeconds)}
    and (${diedAt} is null or ${diedAt} < ${secondsAgo(deadLetterRetentionSeconds)} or ${isGone(table, age)})
    and ${sql.ref(`${table}.id`)} <> all (${inOutbox}::uuid[]) and ${turnIsOver}`;
}

/** Dead for long enough to have been seen in the dead-letter queue, and not seen there: its letter was deleted by hand. */
function isGone(
  table: 'g' | 'd',
  { stuckSeconds, deadLettersSeen = false }: StrandedAge,
): RawBuilder<boolean> {
  if (!deadLettersSeen) return sql`false`;
  const giftId = table === 'g' ? sql`g.id` : sql`d.gift_id`;
  const keys = table === 'g' ? 'gift.deliver:%' : 'delivery.send:%';
  return sql`(${sql.ref(`${table}.dead_lettered_at`)} < ${secondsAgo(stuckSeconds)} and not exists (
    select 1 from dead_letters letter where letter.gift_id = ${giftId} and letter.message_key like ${keys}
      and letter.applied_at is null and letter.last_seen_at > ${secondsAgo(stuckSeconds)}))`;
}

/** The last attempt said when the next one may be made: until then, its message is hidden in the queue. */
function noAttemptIsDue(delivery: RawBuilder<unknown>, { stuckSeconds }: StrandedAge): RawBuilder<boolean> {
  return sql`not exists (
    select 1 from deliveries own join delivery_attempts a on a.delivery_id = own.id and a.number = own.attempts
    where ${delivery} and a.next_attempt_at > ${secondsAgo(stuckSeconds)})`;
}

function progressOf({ backlog }: StrandedAge): RawBuilder<unknown> {
  if (backlog === undefined) return sql``;
  const senders = JSON.stringify(backlog.progress.senders);
  return sql`left join json_to_recordset(${senders}::json) as progress (sender_id uuid, mark timestamptz)
    on progress.sender_id = g.sender_id`;
}

function secondsAgo(seconds: number): RawBuilder<Date> {
  return sql`${now} - make_interval(secs => ${seconds})`;
}
