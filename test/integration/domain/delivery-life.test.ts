import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { sql } from 'kysely';
import { resetRetryBudgets } from '../../../services/database/queries/reconciler-gifts.ts';
import { settleDeliveries } from '../../../services/domain/deliveries/settle-deliveries.ts';
import { failGifts } from '../../../services/domain/gifts/end-gifts.ts';
import { type GiftId, newId, toUuid } from '../../../services/domain/ids.ts';
import { balances, cancel } from '../../support/gifts.ts';
import { offBy } from '../../support/wrong-clock.ts';
import { failure, openStage, type Stage, system } from './stage.ts';

describe('the life of a gift', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage();
  });
  afterAll(() => stage.close());

  test('claimed, sent and settled: one voucher, money committed, story told', async () => {
    const { sender, id } = await stage.acceptOne();
    const work = await stage.claimOne(id);
    expect(work).toMatchObject({ giftId: id, attempt: 1, attemptsCounted: 1, purpose: 'gift' });
    expect(work.openRecipient()).toMatchObject({ email: 'ada@example.com', message: 'Well done' });
    expect(await stage.sent(work)).toBe('recorded');
    expect(await stage.stateOf(id)).toBe('delivered');
    expect(await stage.vouchersOf(id)).toMatchObject([{ state: 'active', balance_minor: 2_500 }]);
    expect(await balances(stage.db, sender)).toEqual({
      available: 7_500,
      reserved: 0,
      outstanding: 2_500,
      total: 0,
    });
    const actions = await stage.db
      .selectFrom('audit_records')
      .select('action')
      .where('subject_id', '=', toUuid(id))
      .orderBy('created_at')
      .orderBy('id')
      .execute();
    expect(actions.map((row) => row.action)).toEqual(['gift.accepted', 'delivery.sent', 'gift.delivered']);
  });

  test('P13: claimed twice at once, one worker gets it and the other is told to wait', async () => {
    const { id } = await stage.acceptOne();
    const results = (await Promise.all([stage.claim([id]), stage.claim([id]), stage.claim([id, id])])).flat();
    expect(results.filter((result) => result.kind === 'claimed')).toHaveLength(1);
    expect(results.filter((result) => result.kind === 'leased')).toHaveLength(3);
    expect(await stage.vouchersOf(id)).toHaveLength(1);
  });

  test('P13: a repeat after delivery changes nothing', async () => {
    const { sender, id } = await stage.acceptOne();
    await stage.sent(await stage.claimOne(id));
    const before = await balances(stage.db, sender);
    expect(await stage.claim([id])).toEqual([{ kind: 'settled', state: 'delivered' }]);
    expect(await balances(stage.db, sender)).toEqual({ ...before });
  });

  test('a worker that was overtaken settles nothing', async () => {
    const { sender, id } = await stage.acceptOne();
    const slow = await stage.claimOne(id, 0);
    const fast = await stage.claimOne(id);
    expect(fast.attempt).toBe(2);
    expect(await stage.sent(slow)).toBe('overtaken');
    expect(await stage.stateOf(id)).toBe('delivering');
    await stage.sent(fast);
    expect(await stage.sent(fast)).toBe('overtaken');
    expect(await balances(stage.db, sender)).toMatchObject({
      outstanding: expect.any(Number),
      reserved: 0,
      total: 0,
    });
    const attempts = await stage.db
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
    const { sender, id } = await stage.acceptOne();
    const first = await stage.claimOne(id);
    await stage.transaction((trx) =>
      settleDeliveries(trx, [
        { deliveryId: first.deliveryId, attempt: 1, outcome: 'retry', failure, retrySeconds: 1 },
      ]),
    );
    expect(await stage.stateOf(id)).toBe('queued');
    const [voucher] = await stage.vouchersOf(id);
    const second = await stage.claimOne(id);
    expect(second).toMatchObject({ attempt: 2, attemptsCounted: 2, deliveryId: first.deliveryId });
    expect(await stage.vouchersOf(id)).toEqual([voucher]);
    expect(await balances(stage.db, sender)).toMatchObject({ available: 7_500, reserved: 2_500 });
  });

  test('cancelled before delivery releases the reservation, after it returns the voucher, each once', async () => {
    const early = await stage.acceptOne();
    const late = await stage.acceptOne();
    await stage.sent(await stage.claimOne(late.id));
    for (const { sender, id } of [early, late]) {
      const results = await Promise.all([1, 2].map(() => cancel(stage.db, id)));
      expect(results.toSorted()).toEqual([false, true]);
      expect(await stage.stateOf(id)).toBe('cancelled');
      expect(await balances(stage.db, sender)).toMatchObject({ available: 10_000, reserved: 0, total: 0 });
    }
    expect(await stage.vouchersOf(late.id)).toMatchObject([{ state: 'cancelled', balance_minor: 0 }]);
  });

  test('cancelled while it is being sent: the money is back once and the worker commits nothing', async () => {
    const { sender, id } = await stage.acceptOne();
    const work = await stage.claimOne(id);
    await cancel(stage.db, id);
    await stage.sent(work);
    expect(await stage.stateOf(id)).toBe('cancelled');
    expect(await balances(stage.db, sender)).toMatchObject({ available: 10_000, reserved: 0, total: 0 });
  });

  test('failed gives the money back once; a delivered gift can not fail', async () => {
    const { sender, id } = await stage.acceptOne();
    const why = (gift: GiftId) => ({ id: gift, class: 'permanent', code: 'recipient_refused' }) as const;
    await stage.transaction((trx) => failGifts(trx, [why(id), why(id)], system));
    await stage.transaction((trx) => failGifts(trx, [why(id)], system));
    expect(await balances(stage.db, sender)).toMatchObject({ available: 10_000, reserved: 0, total: 0 });
    const delivered = await stage.acceptOne();
    await stage.sent(await stage.claimOne(delivered.id));
    expect(await stage.transaction((trx) => failGifts(trx, [why(delivered.id)], system))).toEqual(new Set());
  });

  test('gifts that fail together keep the code of their own failure, and a failure never undoes a delivery', async () => {
    const [refused, unknown] = [await stage.acceptOne(), await stage.acceptOne()];
    const failures = [
      { id: unknown.id, class: 'unknown', code: 'undeliverable' },
      { id: refused.id, class: 'permanent', code: 'recipient_refused' },
    ] as const;
    const failed = await stage.transaction<ReadonlySet<GiftId>>((trx) => failGifts(trx, failures, system));
    expect(failed).toEqual(new Set([refused.id, unknown.id]));
    for (const { id, class: failureClass, code } of failures) {
      const gift = stage.db.selectFrom('gifts').select(['failure_class', 'failure_code']);
      expect(await gift.where('id', '=', toUuid(id)).execute()).toEqual([
        { failure_class: failureClass, failure_code: code },
      ]);
    }
    for (const { sender } of [refused, unknown]) {
      expect(await balances(stage.db, sender)).toMatchObject({ available: 10_000, reserved: 0 });
    }
  });

  test('cancelled after its worker died, a gift leaves no delivery that looks busy', async () => {
    const { id } = await stage.acceptOne();
    const { deliveryId } = await stage.claimOne(id, 0);
    await cancel(stage.db, id);
    const delivery = stage.db.selectFrom('deliveries').select(['state', 'lease_until']);
    expect(await delivery.where('gift_id', '=', toUuid(id)).execute()).toEqual([
      { state: 'suppressed', lease_until: null },
    ]);
    const attempts = stage.db.selectFrom('delivery_attempts').select(['outcome', 'finished_at']);
    expect(await attempts.where('delivery_id', '=', toUuid(deliveryId)).execute()).toEqual([
      { outcome: 'superseded', finished_at: expect.any(Date) },
    ]);
  });

  test('what ends without a request is recorded under the request that made the gift', async () => {
    const { id } = await stage.acceptOne({ requestId: 'made-by' });
    const failures = [{ id, class: failure.class, code: failure.code }];
    await stage.transaction((trx) => failGifts(trx, failures, system));
    const other = await stage.acceptOne({ requestId: 'made-by' });
    const actor = { ...system, requestId: 'ended-by' };
    await cancel(stage.db, other.id, actor);
    const ended = stage.db.selectFrom('audit_records').select('request_id');
    const of = async (action: string) =>
      await ended.where('action', '=', action).orderBy('id', 'desc').execute();
    expect((await of('gift.failed'))[0]).toEqual({ request_id: 'made-by' });
    expect((await of('gift.cancelled'))[0]).toEqual({ request_id: 'ended-by' });
  });

  test('an attempt that was interrupted before it began is no event of the gift', async () => {
    const { id } = await stage.acceptOne();
    const { deliveryId, attempt } = await stage.claimOne(id);
    await stage.transaction((trx) =>
      settleDeliveries(trx, [{ deliveryId, attempt, outcome: 'interrupted' }]),
    );
    expect(await stage.stateOf(id)).toBe('queued');
    const records = stage.db.selectFrom('audit_records').select('action');
    expect(await records.where('subject_id', '=', toUuid(id)).execute()).toEqual([
      { action: 'gift.accepted' },
    ]);
  });

  test.each([-3_600_000, 3_600_000])(
    'leases end by the clock of the database, with a pod %i ms off',
    async (offMs) => {
      const { id } = await stage.acceptOne({ expiresAt: new Date(Date.now() + 60_000) });
      await stage.claimOne(id, 600);
      await sql`update gifts set expires_at = now() where id = ${toUuid(id)}`.execute(stage.db);
      offBy(offMs / 60_000);
      try {
        const [claim] = await stage.claim([id]);
        expect(claim).toEqual({ kind: 'leased', leftSeconds: expect.any(Number) });
        expect(claim?.kind === 'leased' ? Math.round(claim.leftSeconds / 100) : null).toBe(6);
      } finally {
        jest.useRealTimers();
      }
    },
  );

  test('what can not be claimed says why', async () => {
    const later = await stage.acceptOne({ deliverAt: new Date(Date.now() + 60_000) });
    const cancelled = await stage.acceptOne();
    await cancel(stage.db, cancelled.id);
    expect(await stage.claim([later.id, cancelled.id, newId('gft')])).toEqual([
      { kind: 'not_due' },
      { kind: 'settled', state: 'cancelled' },
      { kind: 'missing' },
    ]);
  });

  test.each([
    { outcome: 'interrupted' },
    { outcome: 'retry', failure, retrySeconds: 0, forgiven: true },
  ] as const)(
    'what a redrive forgave while a slow worker was at it is not forgiven twice: $outcome',
    async (settlement) => {
      const { id } = await stage.acceptOne();
      const { deliveryId, attempt } = await stage.claimOne(id, 0);
      await stage.transaction((trx) => resetRetryBudgets(trx, [toUuid(id)]));
      const settled = await settleDeliveries(stage.db, [{ deliveryId, attempt, ...settlement }]);
      expect(settled.get(deliveryId)).toBe('recorded');
    },
  );
});
