import type { Transaction } from 'kysely';
import { claimOutboxRows } from '../../services/database/queries/outbox.ts';
import { findLetterSubjects } from '../../services/database/queries/reconciler-gifts.ts';
import type { Database } from '../../services/database/schema.ts';
import { claimGifts } from '../../services/domain/deliveries/claim-gifts.ts';
import { settleDeliveries } from '../../services/domain/deliveries/settle-deliveries.ts';
import { acceptGifts } from '../../services/domain/gifts/accept-gifts.ts';
import { cancelGifts, expireGifts } from '../../services/domain/gifts/end-gifts.ts';
import { listGifts } from '../../services/domain/gifts/list-gifts.ts';
import { prepareGift } from '../../services/domain/gifts/prepare-gift.ts';
import { queueScheduledGifts, requeueStranded } from '../../services/domain/gifts/queue-gifts.ts';
import { remindGifts } from '../../services/domain/gifts/remind-gifts.ts';
import { readTimeline } from '../../services/domain/gifts/timeline.ts';
import { fromUuid, type GiftId, toUuid } from '../../services/domain/ids.ts';
import { draftGift, type FundedSender, keyring, outbox } from '../support/gifts.ts';

type Statement = (trx: Transaction<Database>) => Promise<unknown>;

/** What the product runs all day, each as the product runs it. */
export function hotStatements(sender: FundedSender): [string, Statement][] {
  const actor = { kind: 'reconciler', id: null, requestId: null } as const;
  const claim = async (trx: Transaction<Database>) => {
    const requests = (await queued(trx, 10)).map((giftId) => ({ giftId, messageId: 'm', receiveCount: 1 }));
    return await claimGifts(trx, { keyring, leaseSeconds: 60 }, requests);
  };
  return [
    ['accept one gift', (trx) => acceptGifts(trx, { outbox }, [prepare(sender)])],
    [
      'accept 100 gifts',
      (trx) =>
        acceptGifts(
          trx,
          { outbox },
          Array.from({ length: 100 }, () => prepare(sender)),
        ),
    ],
    ['claim 10 gifts', claim],
    [
      'claim and settle 10 gifts',
      async (trx) => {
        const works = (await claim(trx)).flatMap((result) =>
          result.kind === 'claimed' ? [result.work] : [],
        );
        await settleDeliveries(
          trx,
          works.map(({ deliveryId, attempt }) => ({ deliveryId, attempt, outcome: 'sent' })),
        );
      },
    ],
    ['cancel a gift', async (trx) => cancelGifts(trx, await queued(trx, 1), actor)],
    ['queue scheduled gifts', (trx) => queueScheduledGifts(trx, { outbox }, 100)],
    ['remind gifts', (trx) => remindGifts(trx, { outbox }, { remindBeforeSeconds: 86_400, limit: 100 })],
    ['expire gifts', (trx) => expireGifts(trx, 100)],
    [
      'find stranded gifts',
      (trx) =>
        requeueStranded(trx, { outbox }, { stuckSeconds: 900, deadLetterRetentionSeconds: 1_209_600 }, 100),
    ],
    ['list a page of gifts', (trx) => listGifts(trx, all(sender), { limit: 50, after: null, before: null })],
    [
      'list a page from far down',
      async (trx) =>
        listGifts(trx, all(sender), { limit: 50, after: toUuid(await oldGift(trx, sender)), before: null }),
    ],
    [
      'find a gift by external_id',
      (trx) =>
        listGifts(trx, { ...all(sender), externalId: 'order-77' }, { limit: 50, after: null, before: null }),
    ],
    ["read a gift's timeline", async (trx) => readTimeline(trx, sender.senderId, await oldGift(trx, sender))],
    ['claim outbox rows', (trx) => claimOutboxRows(trx, 100, 30)],
    [
      'look up 10 dead letters',
      async (trx) => findLetterSubjects(trx, (await queued(trx, 10)).map(toUuid), []),
    ],
  ];
}

function all({ senderId }: FundedSender) {
  return { senderId, externalId: null };
}

async function oldGift(trx: Transaction<Database>, sender: FundedSender): Promise<GiftId> {
  const row = await trx
    .selectFrom('gifts')
    .select('id')
    .where('sender_id', '=', toUuid(sender.senderId))
    .where('external_id', '=', 'order-4321')
    .executeTakeFirstOrThrow();
  return fromUuid('gft', row.id);
}

function prepare(sender: FundedSender) {
  return prepareGift({ keyring }, draftGift(sender), new Date());
}

async function queued(trx: Transaction<Database>, count: number): Promise<GiftId[]> {
  const rows = await trx
    .selectFrom('gifts')
    .select('id')
    .where('state', '=', 'queued')
    .limit(count)
    .execute();
  return rows.map((row) => fromUuid('gft', row.id));
}
