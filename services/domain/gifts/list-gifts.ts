import type { Kysely } from 'kysely';
import { findGiftRow, listGiftRows } from '../../database/queries/gifts.ts';
import type { Page, PageRequest } from '../../database/queries/page.ts';
import type { Database } from '../../database/schema.ts';
import type { GiftState } from '../../database/states.ts';
import { DomainError } from '../errors.ts';
import { firstUuidAt, type GiftId, type SenderId, toUuid } from '../ids.ts';
import { type Gift, toGift } from './gift.ts';

export type GiftFilter = {
  senderId: SenderId;
  externalId?: string | undefined;
  state?: GiftState | undefined;
  currency?: string | undefined;
  /** accepted at this time or later */
  from?: Date | undefined;
  /** accepted before this time */
  to?: Date | undefined;
};

/** An id is made by the process and the time of acceptance may be told by another clock: by far less than this. */
const clockToleranceMs = 3_600_000;

/** A sender's gifts, newest first; with `externalId` the one that bears it. */
export async function listGifts(
  db: Kysely<Database>,
  { senderId, externalId, state, currency, from, to }: GiftFilter,
  page: PageRequest,
): Promise<Omit<Page<unknown>, 'rows'> & { gifts: Gift[] }> {
  const { rows, ...rest } = await listGiftRows(
    db,
    {
      senderId: toUuid(senderId),
      externalId: externalId ?? null,
      state: state ?? null,
      currency: currency ?? null,
      from: from ? { time: from, id: firstUuidAt(from.getTime() - clockToleranceMs) } : null,
      to: to ? { time: to, id: firstUuidAt(to.getTime() + clockToleranceMs) } : null,
    },
    page,
  );
  return { ...rest, gifts: rows.map(toGift) };
}

/** @throws DomainError `not_found`, also for a gift that is somebody else's: its existence is nobody's business */
export async function findGift(db: Kysely<Database>, senderId: SenderId, giftId: GiftId): Promise<Gift> {
  const row = await findGiftRow(db, toUuid(giftId), toUuid(senderId));
  if (!row) throw giftNotFound();
  return toGift(row);
}

export function giftNotFound(): DomainError {
  return new DomainError('not_found', 'you have no gift with this id');
}
