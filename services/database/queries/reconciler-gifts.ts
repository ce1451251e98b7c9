import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import type { GiftState } from '../states.ts';

export type LetterSubjectRow = {
  /** the gift or delivery that was asked for */
  subject_id: string;
  gift_id: string;
  state: GiftState;
  failure_code: string | null;
  leased: boolean;
  dead_lettered_at: Date | null;
};

/**
 * Where the gifts and deliveries that messages are about stand now. A resend or reminder that is still to be sent
 * counts as `delivering`: its gift is delivered already, and yet its message is needed.
 */
export async function findLetterSubjects(
  db: Kysely<Database>,
  giftIds: string[],
  deliveryIds: string[],
): Promise<LetterSubjectRow[]> {
  const { rows } = await sql<LetterSubjectRow>`
    select g.id as subject_id, g.id as gift_id, g.state, g.failure_code, g.dead_lettered_at,
      coalesce(g.lease_until > clock_timestamp(), false) as leased
    from gifts g where g.id = any (${giftIds}::uuid[])
    union all
    select d.id, g.id,
      case when g.state = 'delivered' and d.state in ('pending', 'sending', 'deferred') then 'delivering' else g.state end,
      null, d.dead_lettered_at, coalesce(d.lease_until > clock_timestamp(), false)
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
      select g.id from gifts g
      where g.id = any (${subjectIds}::uuid[]) and g.state in ('queued', 'delivering')
        and coalesce(g.lease_until < clock_timestamp(), true)
      order by g.id for no key update
    ), revived as (
      update gifts g set dead_lettered_at = null, state_changed_at = clock_timestamp()
      from locked where g.id = locked.id
      returning g.id, g.state_changed_at as at
    ), forgiven as (
      update deliveries d set attempts_forgiven = d.attempts, dead_lettered_at = null,
        state_changed_at = clock_timestamp()
      where (d.gift_id in (select id from locked) and d.purpose = 'gift')
        or (d.id = any (${subjectIds}::uuid[]) and (d.state in ('pending', 'deferred')
          or (d.state = 'sending' and d.purpose = 'resend' and d.lease_until < clock_timestamp())))
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

/** Resends and reminders that will not be tried again. */
export async function failDeliveries(trx: Transaction<Database>, deliveryIds: string[]): Promise<void> {
  if (deliveryIds.length === 0) return;
  await sql`
    update deliveries set state = 'failed', state_changed_at = clock_timestamp()
    where id = any (${deliveryIds}::uuid[]) and purpose <> 'gift' and state in ('pending', 'deferred')`.execute(
    trx,
  );
}

/**
 * Marks what has its message in the dead-letter queue. SQS moves a message there by itself when it was received too
 * often, and tells nobody: without the mark, the sweep would take the message for lost and make another.
 */
export async function markDeadLettered(trx: Transaction<Database>, subjectIds: string[]): Promise<void> {
  if (subjectIds.length === 0) return;
  await sql`
    with marked as (
      update gifts set dead_lettered_at = clock_timestamp()
      where id = any (${subjectIds}::uuid[]) and state = 'queued' and dead_lettered_at is null
    )
    update deliveries set dead_lettered_at = clock_timestamp()
    where id = any (${subjectIds}::uuid[]) and purpose <> 'gift' and state in ('pending', 'deferred')
      and dead_lettered_at is null`.execute(trx);
}
