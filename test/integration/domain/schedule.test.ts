import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { settleDeliveries } from '../../../services/domain/deliveries/settle-deliveries.ts';
import { expireGifts } from '../../../services/domain/gifts/end-gifts.ts';
import { queueScheduledGifts, requeueStranded } from '../../../services/domain/gifts/queue-gifts.ts';
import { remindGifts } from '../../../services/domain/gifts/remind-gifts.ts';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { balances, outbox, passHalfTheirTime } from '../../support/gifts.ts';
import { failure, openStage, type Stage } from './stage.ts';

describe('what time does to gifts', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage();
  });
  afterAll(() => stage.close());

  const expire = () => stage.transaction<number>((trx) => expireGifts(trx, 10));

  const deliveryOf = (id: GiftId) =>
    stage.db
      .selectFrom('deliveries as d')
      .innerJoin('delivery_attempts as a', 'a.delivery_id', 'd.id')
      .select(['d.state', 'd.lease_until', 'a.outcome'])
      .where('d.gift_id', '=', toUuid(id))
      .executeTakeFirstOrThrow();

  test('a scheduled gift is queued at its time, once, by however many processes look', async () => {
    const { id } = await stage.acceptOne({ deliverAt: new Date(Date.now() + 60_000) });
    const release = () => stage.transaction<number>((trx) => queueScheduledGifts(trx, { outbox }, 10));
    expect(await release()).toBe(0);
    await sql`update gifts set deliver_at = now() where id = ${toUuid(id)}`.execute(stage.db);
    const counts = await Promise.all([release(), release(), release()]);
    expect(counts.toSorted()).toEqual([0, 0, 1]);
    expect(await stage.stateOf(id)).toBe('queued');
  });

  test('an expired gift gives its money back and its voucher ends', async () => {
    const { sender, id } = await stage.acceptOne({ expiresAt: new Date(Date.now() + 60_000) });
    await stage.sent(await stage.claimOne(id));
    await sql`update gifts set expires_at = now() where id = ${toUuid(id)}`.execute(stage.db);
    const counts = await Promise.all([1, 2].map(() => expire()));
    expect(counts.toSorted()).toEqual([0, 1]);
    expect(await stage.stateOf(id)).toBe('expired');
    expect(await stage.vouchersOf(id)).toMatchObject([{ state: 'expired', balance_minor: 0 }]);
    expect(await balances(stage.db, sender)).toMatchObject({ available: 10_000, reserved: 0, total: 0 });
  });

  test('an expired gift whose worker died gives its money back; one with a live worker is left to it', async () => {
    const expiresAt = new Date(Date.now() + 60_000);
    const [died, alive] = [await stage.acceptOne({ expiresAt }), await stage.acceptOne({ expiresAt })];
    const work = await stage.claimOne(died.id, 0);
    await stage.claimOne(alive.id);
    const ids = [died, alive].map(({ id }) => toUuid(id));
    await sql`update gifts set expires_at = now() where id = any (${ids})`.execute(stage.db);
    expect(await stage.claim([died.id])).toEqual([{ kind: 'settled', state: 'expired' }]);
    const counts = await Promise.all([1, 2].map(() => expire()));
    expect(counts.toSorted()).toEqual([0, 1]);
    expect([await stage.stateOf(died.id), await stage.stateOf(alive.id)]).toEqual(['expired', 'delivering']);
    expect(await balances(stage.db, died.sender)).toMatchObject({ available: 10_000, reserved: 0, total: 0 });
    expect(await balances(stage.db, alive.sender)).toMatchObject({ available: 7_500, reserved: 2_500 });
    expect(await stage.sent(work)).toBe('overtaken');
    expect(await deliveryOf(died.id)).toEqual({
      state: 'suppressed',
      lease_until: null,
      outcome: 'superseded',
    });
    expect(await deliveryOf(alive.id)).toMatchObject({ state: 'sending', outcome: 'started' });
  });

  const remind = () =>
    stage.transaction<number>((trx) =>
      remindGifts(trx, { outbox }, { remindBeforeSeconds: 7_200, limit: 10 }),
    );

  test('a gift is reminded of when its end is near and half of its time is over, not right after it came', async () => {
    const short = await stage.acceptOne({ expiresAt: new Date(Date.now() + 3_600_000) });
    const long = await stage.acceptOne({ expiresAt: new Date(Date.now() + 10_800_000) });
    for (const { id } of [short, long]) await stage.sent(await stage.claimOne(id));
    expect(await remind()).toBe(0);
    await sql`update gifts set state_changed_at = now() - interval '50 minutes'
      where id = ${toUuid(short.id)}`.execute(stage.db);
    expect(await remind()).toBe(0);
    await passHalfTheirTime(stage.db, [short.id, long.id]);
    expect(await remind()).toBe(1);
    const reminders = stage.db.selectFrom('deliveries').select('gift_id').where('purpose', '=', 'reminder');
    expect(await reminders.execute()).toEqual([{ gift_id: toUuid(short.id) }]);
  });

  test('P55: one reminder per gift, however many processes look and however often', async () => {
    const { id } = await stage.acceptOne({ expiresAt: new Date(Date.now() + 3_600_000) });
    await stage.sent(await stage.claimOne(id));
    await passHalfTheirTime(stage.db, [id]);
    const counts = [...(await Promise.all([remind(), remind(), remind()])), await remind()];
    expect(counts.reduce((sum, count) => sum + count)).toBe(1);
    const reminders = stage.db.selectFrom('deliveries').select('id').where('gift_id', '=', toUuid(id));
    expect(await reminders.where('purpose', '=', 'reminder').execute()).toHaveLength(1);
  });

  test('a gift whose message vanished is queued again; one with a live worker or a dead letter is not', async () => {
    const [lost, working, dead, fresh] = [
      await stage.acceptOne(),
      await stage.acceptOne(),
      await stage.acceptOne(),
      await stage.acceptOne(),
    ];
    await stage.claimOne(working.id);
    const work = await stage.claimOne(dead.id);
    await stage.transaction((trx) =>
      settleDeliveries(trx, [{ deliveryId: work.deliveryId, attempt: 1, outcome: 'dead_letter', failure }]),
    );
    const old = [lost, working, dead].map(({ id }) => toUuid(id));
    await sql`update gifts set state_changed_at = now() - interval '1 hour' where id = any (${old})`.execute(
      stage.db,
    );
    const age = { stuckSeconds: 900, deadLetterRetentionSeconds: 14 * 86_400 };
    const sweep = () =>
      stage.transaction<{ gifts: number }>((trx) => requeueStranded(trx, { outbox }, age, 100));
    const counts = await Promise.all([sweep(), sweep()]);
    expect(counts.reduce((sum, { gifts }) => sum + gifts, 0)).toBe(1);
    const audit = await stage.db
      .selectFrom('audit_records')
      .select('subject_id')
      .where('action', '=', 'gift.queued')
      .where('actor_kind', '=', 'reconciler')
      .execute();
    expect(audit.map((row) => row.subject_id)).toEqual([toUuid(lost.id)]);
    expect(await stage.stateOf(fresh.id)).toBe('queued');
  });

  test('a worker that settles after its gift was queued again has been overtaken, and nothing is undone', async () => {
    const { sender, id } = await stage.acceptOne();
    const slow = await stage.claimOne(id, 0);
    await sql`update gifts set state_changed_at = now() - interval '1 hour' where id = ${toUuid(id)}`.execute(
      stage.db,
    );
    const age = { stuckSeconds: 900, deadLetterRetentionSeconds: 14 * 86_400 };
    await stage.transaction((trx) => requeueStranded(trx, { outbox }, age, 100));
    expect(await stage.sent(slow)).toBe('overtaken');
    expect(await stage.stateOf(id)).toBe('queued');
    const next = await stage.claimOne(id);
    expect(await stage.sent(next)).toBe('recorded');
    expect(await stage.stateOf(id)).toBe('delivered');
    expect(await balances(stage.db, sender)).toMatchObject({ available: 7_500, reserved: 0, total: 0 });
  });

  test('what is done later carries the id of the request that the gift came with', async () => {
    const requestId = 'the-accept';
    const hour = new Date(Date.now() + 3_600_000);
    const scheduled = await stage.acceptOne({ requestId, deliverAt: hour });
    const lost = await stage.acceptOne({ requestId });
    const ending = await stage.acceptOne({ requestId, expiresAt: hour });
    await stage.sent(await stage.claimOne(ending.id));
    await passHalfTheirTime(stage.db, [ending.id]);
    await sql`update gifts set deliver_at = now() where id = ${toUuid(scheduled.id)}`.execute(stage.db);
    await sql`update gifts set state_changed_at = now() - interval '1 hour'
      where id = ${toUuid(lost.id)}`.execute(stage.db);
    const age = { stuckSeconds: 900, deadLetterRetentionSeconds: 14 * 86_400 };
    await stage.transaction((trx) => queueScheduledGifts(trx, { outbox }, 10));
    await stage.transaction((trx) => requeueStranded(trx, { outbox }, age, 100));
    await remind();
    const actions = ['gift.queued', 'gift.expiring'];
    for (const { id } of [scheduled, lost, ending]) {
      const records = stage.db
        .selectFrom('audit_records')
        .select('request_id')
        .where('action', 'in', actions);
      expect(await records.where('subject_id', '=', toUuid(id)).execute()).toEqual([
        { request_id: requestId },
      ]);
    }
  });
});
