import { claimGifts } from '../../../services/domain/deliveries/claim-gifts.ts';
import type { ClaimResult, DeliveryWork } from '../../../services/domain/deliveries/delivery-work.ts';
import { type Settled, settleDeliveries } from '../../../services/domain/deliveries/settle-deliveries.ts';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { createTestDatabase } from '../../support/database.ts';
import { accept, draftGift, type FundedSender, fundedSender, keyring } from '../../support/gifts.ts';

export const failure = {
  class: 'transient',
  code: 'mail_unreachable',
  reason: 'the mail server could not be reached',
} as const;
export const system = { kind: 'reconciler', id: null, requestId: null } as const;

/** A database, and what a gift goes through in it, step by step. */
export type Stage = Awaited<ReturnType<typeof openStage>>;

export async function openStage() {
  const database = await createTestDatabase();

  const transaction = <T>(work: Parameters<ReturnType<typeof database.db.transaction>['execute']>[0]) =>
    database.db.transaction().execute(work) as Promise<T>;

  async function acceptOne(
    changes: Parameters<typeof draftGift>[1] = {},
  ): Promise<{ sender: FundedSender; id: GiftId }> {
    const sender = await fundedSender(database.db, 10_000);
    const { gifts } = await accept(database.db, [draftGift(sender, changes)]);
    return { sender, id: gifts[0]?.id as GiftId };
  }

  function claim(ids: GiftId[], leaseSeconds = 60): Promise<ClaimResult[]> {
    const requests = ids.map((giftId) => ({ giftId, messageId: `m-${giftId}`, receiveCount: 1 }));
    return transaction((trx) => claimGifts(trx, { keyring, leaseSeconds }, requests));
  }

  async function claimOne(id: GiftId, leaseSeconds = 60): Promise<DeliveryWork> {
    const [result] = await claim([id], leaseSeconds);
    if (result?.kind !== 'claimed') throw new Error(`not claimed: ${JSON.stringify(result)}`);
    return result.work;
  }

  const sent = (work: DeliveryWork) =>
    transaction<ReadonlyMap<string, Settled>>((trx) =>
      settleDeliveries(trx, [{ deliveryId: work.deliveryId, attempt: work.attempt, outcome: 'sent' }]),
    ).then((settled) => settled.get(work.deliveryId));

  const stateOf = async (id: GiftId) =>
    (
      await database.db
        .selectFrom('gifts')
        .select('state')
        .where('id', '=', toUuid(id))
        .executeTakeFirstOrThrow()
    ).state;

  const vouchersOf = (id: GiftId) =>
    database.db.selectFrom('vouchers').selectAll().where('gift_id', '=', toUuid(id)).execute();

  return {
    db: database.db,
    pool: database.pool,
    close: database.drop,
    ...{ transaction, acceptOne, claim, claimOne, sent, stateOf, vouchersOf },
  };
}
