import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { claimGifts } from '../../../services/domain/deliveries/claim-gifts.ts';
import type { ClaimResult, DeliveryWork } from '../../../services/domain/deliveries/delivery-work.ts';
import { settleDeliveries } from '../../../services/domain/deliveries/settle-deliveries.ts';
import { cancelGifts, expireGifts, failGifts } from '../../../services/domain/gifts/end-gifts.ts';
import { queueScheduledGifts, requeueStranded } from '../../../services/domain/gifts/queue-gifts.ts';
import { remindGifts } from '../../../services/domain/gifts/remind-gifts.ts';
import { type GiftId, newId, toUuid } from '../../../services/domain/ids.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import {
  accept,
  balances,
  draftGift,
  type FundedSender,
  fundedSender,
  keyring,
  outbox,
} from '../../support/gifts.ts';

const failure = {
  class: 'transient',
  code: 'mail_unreachable',
  reason: 'the mail server could not be reached',
} as const;
const system = { kind: 'reconciler', id: null, requestId: null } as const;

describe('the life of a gift', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

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
    transaction<ReadonlySet<string>>((trx) =>
      settleDeliveries(trx, [{ deliveryId: work.deliveryId, attempt: work.attempt, outcome: 'sent' }]),
    );

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

  test('claimed, sent and settled: one voucher, money committed, story told', async () => {
    const { sender, id } = await acceptOne();
    const work = await claimOne(id);
    expect(work).toMatchObject({ giftId: id, attempt: 1, attemptsCounted: 1, purpose: 'gift' });
    expect(work.openRecipient()).toMatchObject({ email: 'ada@example.com', message: 'Well done' });
    expect(await sent(work)).toEqual(new Set([work.deliveryId]));
    expect(await stateOf(id)).toBe('delivered');
    expect(await vouchersOf(id)).toMatchObject([{ state: 'active', balance_minor: 2_500 }]);
    expect(await balances(database.db, sender)).toEqual({
      available: 7_500,
      reserved: 0,
      outstanding: 2_500,
      total: 0,
    });
    const actions = await database.db
      .selectFrom('audit_records')
      .select('action')
      .where('subject_id', '=', toUuid(id))
      .orderBy('created_at')
      .orderBy('id')
      .execute();
    expect(actions.map((row) => row.action)).toEqual(['gift.accepted', 'delivery.sent', 'gift.delivered']);
  });

  test('P13: claimed twice at once, one worker gets it and the other is told to wait', async () => {
    const { id } = await acceptOne();
    const results = (await Promise.all([claim([id]), claim([id]), claim([id, id])])).flat();
    expect(results.filter((result) => result.kind === 'claimed')).toHaveLength(1);
    expect(results.filter((result) => result.kind === 'leased')).toHaveLength(3);
    expect(await vouchersOf(id)).toHaveLength(1);
  });

  test('P13: a repeat after delivery changes nothing', async () => {
    const { sender, id } = await acceptOne();
    await sent(await claimOne(id));
    const before = await balances(database.db, sender);
    expect(await claim([id])).toEqual([{ kind: 'settled', state: 'delivered' }]);
    expect(await balances(database.db, sender)).toEqual({ ...before });
  });

  test('a worker that was overtaken settles nothing', async () => {
    const { sender, id } = await acceptOne();
    const slow = await claimOne(id, 0);
    const fast = await claimOne(id);
    expect(fast.attempt).toBe(2);
    expect(await sent(slow)).toEqual(new Set());
    expect(await stateOf(id)).toBe('delivering');
    await sent(fast);
    expect(await sent(fast)).toEqual(new Set());
    expect(await balances(database.db, sender)).toMatchObject({
      outstanding: expect.any(Number),
      reserved: 0,
      total: 0,
    });
    const attempts = await database.db
      .selectFrom('delivery_attempts')
      .select(['number', 'outcome'])
      .where('delivery_id', '=', toUuid(fast.deliveryId))
      .orderBy('number')
      .execute();
    expect(attempts).toEqual([
      { number: 1, outcome: 'interrupted' },
      { number: 2, outcome: 'sent' },
    ]);
  });

  test('a retry keeps the voucher, counts the attempt and keeps the money reserved', async () => {
    const { sender, id } = await acceptOne();
    const first = await claimOne(id);
    const nextAttemptAt = new Date(Date.now() + 1_000);
    await transaction((trx) =>
      settleDeliveries(trx, [
        { deliveryId: first.deliveryId, attempt: 1, outcome: 'retry', failure, nextAttemptAt },
      ]),
    );
    expect(await stateOf(id)).toBe('queued');
    const [voucher] = await vouchersOf(id);
    const second = await claimOne(id);
    expect(second).toMatchObject({ attempt: 2, attemptsCounted: 2, deliveryId: first.deliveryId });
    expect(await vouchersOf(id)).toEqual([voucher]);
    expect(await balances(database.db, sender)).toMatchObject({ available: 7_500, reserved: 2_500 });
  });

  test('cancelled before delivery releases the reservation, after it returns the voucher, each once', async () => {
    const early = await acceptOne();
    const late = await acceptOne();
    await sent(await claimOne(late.id));
    for (const { sender, id } of [early, late]) {
      const results = await Promise.all(
        [1, 2].map(() => transaction<ReadonlySet<GiftId>>((trx) => cancelGifts(trx, [id], system))),
      );
      expect(results.map((set) => set.size).toSorted()).toEqual([0, 1]);
      expect(await stateOf(id)).toBe('cancelled');
      expect(await balances(database.db, sender)).toMatchObject({ available: 10_000, reserved: 0, total: 0 });
    }
    expect(await vouchersOf(late.id)).toMatchObject([{ state: 'cancelled', balance_minor: 0 }]);
  });

  test('cancelled while it is being sent: the money is back once and the worker commits nothing', async () => {
    const { sender, id } = await acceptOne();
    const work = await claimOne(id);
    await transaction((trx) => cancelGifts(trx, [id], system));
    await sent(work);
    expect(await stateOf(id)).toBe('cancelled');
    expect(await balances(database.db, sender)).toMatchObject({ available: 10_000, reserved: 0, total: 0 });
  });

  test('failed gives the money back once; a delivered gift can not fail', async () => {
    const { sender, id } = await acceptOne();
    const why = { class: 'permanent', code: 'recipient_refused' } as const;
    await transaction((trx) => failGifts(trx, [id, id], system, why));
    await transaction((trx) => failGifts(trx, [id], system, why));
    expect(await balances(database.db, sender)).toMatchObject({ available: 10_000, reserved: 0, total: 0 });
    const delivered = await acceptOne();
    await sent(await claimOne(delivered.id));
    expect(await transaction((trx) => failGifts(trx, [delivered.id], system, why))).toEqual(new Set());
  });

  test('what can not be claimed says why', async () => {
    const later = await acceptOne({ deliverAt: new Date(Date.now() + 60_000) });
    const cancelled = await acceptOne();
    await transaction((trx) => cancelGifts(trx, [cancelled.id], system));
    expect(await claim([later.id, cancelled.id, newId('gft')])).toEqual([
      { kind: 'not_due' },
      { kind: 'settled', state: 'cancelled' },
      { kind: 'missing' },
    ]);
  });

  test('a scheduled gift is queued at its time, once, by however many processes look', async () => {
    const { id } = await acceptOne({ deliverAt: new Date(Date.now() + 60_000) });
    const release = () => transaction<number>((trx) => queueScheduledGifts(trx, { outbox }, 10));
    expect(await release()).toBe(0);
    await sql`update gifts set deliver_at = now() where id = ${toUuid(id)}`.execute(database.db);
    const counts = await Promise.all([release(), release(), release()]);
    expect(counts.toSorted()).toEqual([0, 0, 1]);
    expect(await stateOf(id)).toBe('queued');
  });

  test('an expired gift gives its money back and its voucher ends', async () => {
    const { sender, id } = await acceptOne({ expiresAt: new Date(Date.now() + 60_000) });
    await sent(await claimOne(id));
    await sql`update gifts set expires_at = now() where id = ${toUuid(id)}`.execute(database.db);
    const counts = await Promise.all([1, 2].map(() => transaction<number>((trx) => expireGifts(trx, 10))));
    expect(counts.toSorted()).toEqual([0, 1]);
    expect(await stateOf(id)).toBe('expired');
    expect(await vouchersOf(id)).toMatchObject([{ state: 'expired', balance_minor: 0 }]);
    expect(await balances(database.db, sender)).toMatchObject({ available: 10_000, reserved: 0, total: 0 });
  });

  test('P55: one reminder per gift, however many processes look and however often', async () => {
    const { id } = await acceptOne({ expiresAt: new Date(Date.now() + 3_600_000) });
    await sent(await claimOne(id));
    const remind = () =>
      transaction<number>((trx) => remindGifts(trx, { outbox }, { remindBeforeSeconds: 7_200, limit: 10 }));
    const counts = [...(await Promise.all([remind(), remind(), remind()])), await remind()];
    expect(counts.reduce((sum, count) => sum + count)).toBe(1);
    const reminders = database.db.selectFrom('deliveries').select('id').where('gift_id', '=', toUuid(id));
    expect(await reminders.where('purpose', '=', 'reminder').execute()).toHaveLength(1);
  });

  test('a gift whose message vanished is queued again; one with a live worker or a dead letter is not', async () => {
    const [lost, working, dead, fresh] = [
      await acceptOne(),
      await acceptOne(),
      await acceptOne(),
      await acceptOne(),
    ];
    await claimOne(working.id);
    const work = await claimOne(dead.id);
    await transaction((trx) =>
      settleDeliveries(trx, [{ deliveryId: work.deliveryId, attempt: 1, outcome: 'dead_letter', failure }]),
    );
    const old = [lost, working, dead].map(({ id }) => toUuid(id));
    await sql`update gifts set state_changed_at = now() - interval '1 hour' where id = any (${old})`.execute(
      database.db,
    );
    const age = { stuckSeconds: 900, deadLetterRetentionSeconds: 14 * 86_400 };
    const sweep = () => transaction<{ gifts: number }>((trx) => requeueStranded(trx, { outbox }, age, 100));
    const counts = await Promise.all([sweep(), sweep()]);
    expect(counts.reduce((sum, { gifts }) => sum + gifts, 0)).toBe(1);
    const audit = await database.db
      .selectFrom('audit_records')
      .select('subject_id')
      .where('action', '=', 'gift.queued')
      .where('actor_kind', '=', 'reconciler')
      .execute();
    expect(audit.map((row) => row.subject_id)).toEqual([toUuid(lost.id)]);
    expect(await stateOf(fresh.id)).toBe('queued');
  });
});
