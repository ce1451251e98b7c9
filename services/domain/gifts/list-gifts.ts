import type { Kysely } from 'kysely';
import { findGiftRow, listGiftRows } from '../../database/queries/gifts.ts';
import type { Page, PageRequest } from '../../database/queries/page.ts';
import type { Database } from '../../database/schema.ts';
import { DomainError } from '../errors.ts';
import { type GiftId, type SenderId, toUuid } from '../ids.ts';
import { type Gift, toGift } from './gift.ts';

/** A sender's gifts, newest first; with `externalId` the one that bears it. */
export async function listGifts(
  db: Kysely<Database>,
  filter: { senderId: SenderId; externalId: string | null },
  page: PageRequest,
): Promise<Omit<Page<unknown>, 'rows'> & { gifts: Gift[] }> {
  const { rows, ...rest } = await listGiftRows(
    db,
    { senderId: toUuid(filter.senderId), externalId: filter.externalId },
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
