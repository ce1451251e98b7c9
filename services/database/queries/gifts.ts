import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';
import type { GiftState } from '../states.ts';
import { type Page, type PageRequest, pageClauses, toPage } from './page.ts';

/** Everything of a gift but its sealed recipient. */
export type GiftRecord = Awaited<ReturnType<typeof findGiftRow>> & object;

/** What a list of gifts is narrowed to; null is no condition. */
export type GiftFilter = {
  senderId: string;
  externalId: string | null;
  state: GiftState | null;
  currency: string | null;
  /** accepted at this time or later, with an id that was made then or later */
  from: { time: Date; id: string } | null;
  /** accepted before this time, with an id that was made before it or little later */
  to: { time: Date; id: string } | null;
};

/**
 * A sender's gifts, newest first. With `externalId` at most one. A condition is written only where there is one: each then
 * has its own prepared plan, which starts in the index that fits.
 */
export async function listGiftRows(
  db: Kysely<Database>,
  { senderId, externalId, state, currency, from, to }: GiftFilter,
  page: PageRequest,
): Promise<Page<GiftRecord>> {
  const { where, orderBy, limit } = pageClauses('gifts.id', page);
  let query = selectGifts(db).where('gifts.sender_id', '=', senderId).where(where);
  if (externalId !== null) query = query.where('gifts.external_id', '=', externalId);
  if (state !== null) query = query.where('gifts.state', '=', state);
  if (currency !== null) query = query.where('gifts.currency', '=', currency);
  if (from) query = query.where('gifts.id', '>=', from.id).where('gifts.created_at', '>=', from.time);
  if (to) query = query.where('gifts.id', '<', to.id).where('gifts.created_at', '<', to.time);
  return toPage(await query.orderBy(orderBy).limit(limit).execute(), page);
}

/** A gift of this sender. */
export function findGiftRow(db: Kysely<Database>, giftId: string, senderId: string) {
  return selectGifts(db)
    .where('gifts.id', '=', giftId)
    .where('gifts.sender_id', '=', senderId)
    .executeTakeFirst();
}

/**
 * The same for a change of it: with the time by the clock that dates changes, and the version of the row, which a statement
 * that changes it compares. So nothing is locked between what was read and what is done about it.
 */
export function findGiftVersion(db: Kysely<Database>, giftId: string, senderId: string) {
  return selectGifts(db)
    .select([sql<string>`gifts.xmin::text`.as('version'), sql<Date>`clock_timestamp()`.as('now')])
    .where('gifts.id', '=', giftId)
    .where('gifts.sender_id', '=', senderId)
    .executeTakeFirst();
}

function selectGifts(db: Kysely<Database>) {
  return db
    .selectFrom('gifts')
    .innerJoin('recipients', 'recipients.id', 'gifts.recipient_id')
    .select([
      'gifts.id',
      'gifts.sender_id',
      'gifts.state',
      'gifts.amount_minor',
      'gifts.currency',
      'gifts.channel',
      'recipients.masked',
      'gifts.binding',
      'gifts.claim_version',
      'gifts.deliver_at',
      'gifts.expires_at',
      'gifts.external_id',
      'gifts.metadata',
      'gifts.failure_class',
      'gifts.failure_code',
      'gifts.dead_lettered_at',
      'gifts.created_at',
      'gifts.state_changed_at',
    ]);
}
