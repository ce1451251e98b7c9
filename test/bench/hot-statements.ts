import { createHash, randomUUID } from 'node:crypto';
import type { Transaction } from 'kysely';
import { insertAcceptedGifts } from '../../services/database/queries/accept-gifts.ts';
import { findApiKey } from '../../services/database/queries/api-keys.ts';
import { findClaimable } from '../../services/database/queries/claims.ts';
import { deleteExpiredIdempotencyKeys } from '../../services/database/queries/idempotency.ts';
import { claimOutboxRows } from '../../services/database/queries/outbox.ts';
import { deleteEndedBudgets, takePoints } from '../../services/database/queries/rate-limits.ts';
import { findLetterSubjects, resetRetryBudgets } from '../../services/database/queries/reconciler-gifts.ts';
import {
  countRedriveOutcomes,
  findLetterHistory,
  findRedrivenSends,
} from '../../services/database/queries/reconciler-history.ts';
import type { Database } from '../../services/database/schema.ts';
import { claimGifts } from '../../services/domain/deliveries/claim-gifts.ts';
import { settleDeliveries } from '../../services/domain/deliveries/settle-deliveries.ts';
import { giftAccept } from '../../services/domain/gifts/accept-gifts.ts';
import { claimToken } from '../../services/domain/gifts/claim-token.ts';
import { claimVoucher } from '../../services/domain/gifts/claim-voucher.ts';
import { expireGifts } from '../../services/domain/gifts/end-gifts.ts';
import { listGifts } from '../../services/domain/gifts/list-gifts.ts';
import { prepareGift } from '../../services/domain/gifts/prepare-gift.ts';
import { queueScheduledGifts, requeueStranded } from '../../services/domain/gifts/queue-gifts.ts';
import { remindGifts } from '../../services/domain/gifts/remind-gifts.ts';
import { resendGift } from '../../services/domain/gifts/resend-gift.ts';
import { readTimeline } from '../../services/domain/gifts/timeline.ts';
import { fromUuid, type GiftId, toUuid } from '../../services/domain/ids.ts';
import { cancel, draftGift, type FundedSender, keyring, outbox } from '../support/gifts.ts';
import { grownGift } from './grow-gifts.ts';

type Statement = (trx: Transaction<Database>) => Promise<unknown>;
type Statements = [string, Statement][];

/** What the product runs all day, each as the product runs it. */
export function hotStatements(sender: FundedSender): Statements {
  return [
    ...ofRequests(sender),
    ...ofClaimLinks(sender),
    ...ofConsumers(),
    ...ofTimekeepers(),
    ...ofReaders(sender),
    ...ofReconciler(),
  ];
}

function ofRequests(sender: FundedSender): Statements {
  const budgets = ['ip:0', 'key:new'].map((key) => ({ key, points: 1, quota: 6_000, slotMs: 1_000 }));
  const secretHash = createHash('sha256').update('7700').digest();
  return [
    ['take points from 2 budgets', (trx) => takePoints(trx, budgets)],
    ['look up an API key', (trx) => findApiKey(trx, secretHash)],
    ['accept one gift', (trx) => accept(trx, sender, 1)],
    ['accept 100 gifts', (trx) => accept(trx, sender, 100)],
  ];
}

/** Gift 1 is delivered and waits for its recipient. */
function ofClaimLinks({ senderId, apiKeyId }: FundedSender): Statements {
  const giftId = grownGift(1);
  const request = { token: claimToken(keyring, giftId, 1), idempotencyKey: 'key', requestId: null };
  const unkeyed = { key: null, answerOf: () => ({ status: 202, body: null, location: null }) };
  const resend = { senderId, apiKeyId, giftId, requestId: null, ...unkeyed };
  return [
    ['show a claim page', (trx) => findClaimable(trx, toUuid(giftId))],
    ['claim a voucher', (trx) => claimVoucher(trx, { keyring }, request)],
    ['resend a gift', (trx) => resendGift(trx, { outbox, policy: { cooldownSeconds: 0, limit: 2 } }, resend)],
  ];
}

function ofConsumers(): Statements {
  const claim = async (trx: Transaction<Database>) => {
    const requests = queued(10).map((giftId) => ({ giftId, messageId: 'm', receiveCount: 1 }));
    return await claimGifts(trx, { keyring, leaseSeconds: 60 }, requests);
  };
  const claimAndSettle = async (trx: Transaction<Database>) => {
    const works = (await claim(trx)).flatMap((result) => (result.kind === 'claimed' ? [result.work] : []));
    const sent = works.map(({ deliveryId, attempt }) => ({ deliveryId, attempt, outcome: 'sent' as const }));
    await settleDeliveries(trx, sent);
  };
  const actor = { kind: 'reconciler', id: null, requestId: null } as const;
  return [
    ['claim 10 gifts', claim],
    ['claim and settle 10 gifts', claimAndSettle],
    ['cancel a gift', async (trx) => cancel(trx, grownGift(0), actor)],
  ];
}

function ofTimekeepers(): Statements {
  const stranded = { stuckSeconds: 900, deadLetterRetentionSeconds: 1_209_600 };
  return [
    ['queue scheduled gifts', (trx) => queueScheduledGifts(trx, { outbox }, 100)],
    ['remind gifts', (trx) => remindGifts(trx, { outbox }, { remindBeforeSeconds: 86_400, limit: 100 })],
    ['expire gifts', (trx) => expireGifts(trx, 100)],
    ['find stranded gifts', (trx) => requeueStranded(trx, { outbox }, stranded, 100)],
    ['delete old idempotency keys', (trx) => deleteExpiredIdempotencyKeys(trx, 30, 200)],
    ['delete ended budgets', (trx) => deleteEndedBudgets(trx, 200)],
    ['claim outbox rows', (trx) => claimOutboxRows(trx, ['gifts'], { limit: 100, leaseSeconds: 30 })],
  ];
}

const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);

function ofReaders(sender: FundedSender): Statements {
  const all = { senderId: sender.senderId };
  const first = { limit: 50, after: null, before: null };
  return [
    ['list a page of gifts', (trx) => listGifts(trx, all, first)],
    [
      'list a page from far down',
      async (trx) => listGifts(trx, all, { ...first, after: toUuid(await oldGift(trx, sender)) }),
    ],
    ['list gifts of one state', (trx) => listGifts(trx, { ...all, state: 'failed' }, first)],
    ['list gifts of one currency', (trx) => listGifts(trx, { ...all, currency: 'CHF' }, first)],
    ['list gifts of a day', (trx) => listGifts(trx, { ...all, from: daysAgo(2), to: daysAgo(1) }, first)],
    ['find a gift by external_id', (trx) => listGifts(trx, { ...all, externalId: 'order-77' }, first)],
    ["read a gift's timeline", async (trx) => readTimeline(trx, sender.senderId, await oldGift(trx, sender))],
  ];
}

/** Ten letters that died again after a redrive, and the hundred redriven within the hour. */
function ofReconciler(): Statements {
  const letters = Array.from({ length: 10 }, (_, i) => ({
    message_id: `message-again-${i}`,
    message_key: `gift.deliver:${i * 10}`,
  }));
  const sinceAnHour = () => new Date(Date.now() - 3_600_000);
  return [
    ['look up 10 dead letters', async (trx) => findLetterSubjects(trx, queued(10).map(toUuid), [])],
    ["read 10 letters' history", (trx) => findLetterHistory(trx, 'gifts', letters)],
    [
      'count what became of 100 redrives',
      async (trx) => {
        await findRedrivenSends(trx, 'gifts', sinceAnHour());
        await countRedriveOutcomes(trx, 'gifts', sinceAnHour(), []);
      },
    ],
    ['give 10 gifts their retries again', async (trx) => resetRetryBudgets(trx, queued(10).map(toUuid))],
  ];
}

/** The statement of `acceptGifts`: each gift with its idempotency key. */
async function accept(trx: Transaction<Database>, sender: FundedSender, count: number): Promise<unknown> {
  const inserts = Array.from({ length: count }, () => {
    const prepared = prepareGift({ keyring }, draftGift(sender));
    const { id } = prepared.gift;
    const answer = { status: 202, bodyAt: () => ({ id }), location: `/v1/gifts/${id}` };
    const key = { scopeId: toUuid(sender.senderId), key: randomUUID(), fingerprint: Buffer.alloc(32) };
    return giftAccept({ outbox }, prepared, { ...key, ...answer }).insert;
  });
  return await insertAcceptedGifts(trx, inserts, {
    outboxLeaseSeconds: outbox.leaseSeconds,
    lockWaitMs: 5_000,
  });
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

/** Of those that were grown. */
function queued(count: number): GiftId[] {
  return Array.from({ length: count }, (_, nth) => grownGift(nth * 10));
}
