import type { Transaction } from 'kysely';
import { lockGiftRow } from '../../database/queries/gifts.ts';
import type { Database } from '../../database/schema.ts';
import { DomainError } from '../errors.ts';
import { type GiftId, type SenderId, toUuid } from '../ids.ts';
import { type Actor, cancelGifts } from './end-gifts.ts';
import { type Gift, toGift } from './gift.ts';
import { findGift, giftNotFound } from './list-gifts.ts';

/**
 * Cancels one gift of a sender: free until it is claimed.
 * @throws DomainError `not_found`, `state_conflict`
 */
export async function cancelGift(
  trx: Transaction<Database>,
  senderId: SenderId,
  giftId: GiftId,
  actor: Actor,
): Promise<Gift> {
  const row = await lockGiftRow(trx, toUuid(giftId), toUuid(senderId));
  if (!row) throw giftNotFound();
  const cancelled = await cancelGifts(trx, [giftId], actor);
  if (!cancelled.has(giftId)) {
    throw new DomainError('state_conflict', `a gift that is ${toGift(row).state} can not be cancelled`);
  }
  return await findGift(trx, senderId, giftId);
}
