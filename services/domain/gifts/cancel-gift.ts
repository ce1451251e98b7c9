import type { Kysely } from 'kysely';
import { findGiftVersion } from '../../database/queries/gifts.ts';
import type { Database } from '../../database/schema.ts';
import { DomainError } from '../errors.ts';
import { type GiftId, type SenderId, toUuid } from '../ids.ts';
import { type Answer, type AskedKey, changeOnce, type Once } from '../once.ts';
import { type Actor, cancelOnce } from './end-gifts.ts';
import { type Gift, statesBefore, toGift } from './gift.ts';
import { giftNotFound } from './list-gifts.ts';

export type CancelRequest = {
  senderId: SenderId;
  giftId: GiftId;
  actor: Actor;
  key: AskedKey;
  /** what is answered, now and to every repetition */
  answerOf: (gift: Gift) => Answer;
};

/**
 * Cancels one gift of a sender: free until it is claimed.
 * @throws DomainError `not_found`, `state_conflict`, `unavailable`
 */
export async function cancelGift(db: Kysely<Database>, request: CancelRequest): Promise<Once<Gift>> {
  const { senderId, giftId, actor, key, answerOf } = request;
  return await changeOnce(db, key, {
    read: () => findGiftVersion(db, toUuid(giftId), toUuid(senderId)),
    act: async (row) => {
      if (!row) throw giftNotFound();
      if (!statesBefore('cancelled').includes(row.state)) {
        throw new DomainError('state_conflict', `a gift that is ${row.state} can not be cancelled`);
      }
      const gift: Gift = { ...toGift(row), state: 'cancelled', stateChangedAt: row.now };
      const answer = answerOf(gift);
      const once = { claim: { ...key, ...answer }, at: row.now };
      return {
        outcome: await cancelOnce(db, { id: giftId, version: row.version }, actor, once),
        answer,
        result: gift,
      };
    },
  });
}
