import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import { type DueGift, lockDue } from './due-gifts.ts';

export type StrandedAge = { stuckSeconds: number; deadLetterRetentionSeconds: number };

/**
 * Gifts that wait for a message that no longer exists. A dead-lettered gift has one, in the dead-letter queue, until
 * that queue's retention has passed.
 */
export function lockStrandedGifts(
  trx: Transaction<Database>,
  age: StrandedAge,
  limit: number,
): Promise<DueGift[]> {
  return lockDue(trx, sql`${strandedGift(age)} order by state_changed_at`, limit);
}

export type StrandedDelivery = { id: string; gift_id: string; sender_id: string; request_id: string | null };

/** Resends and reminders whose message no longer exists. A reminder that was being sent is never sent again. */
export async function lockStrandedDeliveries(
  trx: Transaction<Database>,
  age: StrandedAge,
  limit: number,
): Promise<StrandedDelivery[]> {
  const { rows } = await sql<StrandedDelivery>`
    with due as materialized (
      select d.id, d.gift_id, g.sender_id, g.request_id from deliveries d join gifts g on g.id = d.gift_id
      where ${strandedDelivery(age)}
      order by d.state_changed_at limit ${limit} for no key update of d skip locked
    )
    select * from due`.execute(trx);
  return rows;
}

/** How many the two above would find, each up to `limit`, without those whose ids are excepted. Locks nothing. */
export async function countStranded(
  db: Kysely<Database>,
  age: StrandedAge,
  { except, limit }: { except: readonly string[]; limit: number },
): Promise<{ gifts: number; deliveries: number }> {
  const { rows } = await sql<{ gifts: number; deliveries: number }>`
    select
      (select count(*) from (
        select 1 from gifts where ${strandedGift(age)} and id <> all (${except}::uuid[]) limit ${limit}) g) as gifts,
      (select count(*) from (
        select 1 from deliveries d join gifts g on g.id = d.gift_id
        where ${strandedDelivery(age)} and d.id <> all (${except}::uuid[]) limit ${limit}) d) as deliveries`.execute(
    db,
  );
  return rows[0] ?? { gifts: 0, deliveries: 0 };
}

function strandedGift(age: StrandedAge) {
  return sql`state in ('queued', 'delivering')
    and state_changed_at < clock_timestamp() - make_interval(secs => ${age.stuckSeconds})
    and (lease_until is null or lease_until < clock_timestamp())
    and (dead_lettered_at is null
      or dead_lettered_at < clock_timestamp() - make_interval(secs => ${age.deadLetterRetentionSeconds}))`;
}

function strandedDelivery(age: StrandedAge) {
  return sql`d.purpose <> 'gift' and g.state = 'delivered'
    and (d.state in ('pending', 'deferred')
      or (d.state = 'sending' and d.purpose = 'resend' and d.lease_until < clock_timestamp()))
    and d.state_changed_at < clock_timestamp() - make_interval(secs => ${age.stuckSeconds})
    and (d.dead_lettered_at is null
      or d.dead_lettered_at < clock_timestamp() - make_interval(secs => ${age.deadLetterRetentionSeconds}))`;
}
