import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type GiftId, newId, toUuid } from '../../../services/domain/ids.ts';
import { logRun } from '../../../services/reconciler/log-run.ts';
import type { RunReport } from '../../../services/reconciler/run-report.ts';
import { statusAfter } from '../../../services/reconciler/status.ts';
import { failEntries } from '../../support/faults.ts';
import { balances, placeGifts } from '../../support/gifts.ts';
import {
  bury,
  buryGifts,
  contents,
  deadGifts,
  dieAgain,
  giftMessage,
  openScene,
  policy,
  run,
  type Scene,
} from './setup.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
beforeEach(() => scene.reset());
afterAll(() => scene.close());

const letters = () =>
  scene.database.db.selectFrom('dead_letters').selectAll().orderBy('message_key').execute();
const giftRows = (ids: GiftId[]) =>
  scene.database.db.selectFrom('gifts').selectAll().where('id', 'in', ids.map(toUuid)).execute();

describe('quarantine', () => {
  test('fails the gift and returns its money exactly once, however often the run is repeated', async () => {
    const ids = await deadGifts(scene, 10);
    await buryGifts(scene, ids, { class: 'permanent', reason: 'recipient_refused' });
    const before = await balances(scene.database.db, scene.sender);
    scene.proxy.inject({
      operation: 'DeleteMessageBatch',
      fault: failEntries(() => true, { senderFault: true }),
    });
    const first = await run(scene);
    expect(first).toMatchObject({ outcome: 'again', counts: { errors: 10, quarantined: 0 } });
    const returned = await balances(scene.database.db, scene.sender);
    expect(returned).toEqual({
      ...before,
      available: before.available + 1_000,
      reserved: before.reserved - 1_000,
    });

    // Still in the queue and undelivered on paper: another policy must not revive what has been paid back.
    const redriveAll = policy({ rules: [{ name: 'all', match: {}, verdict: 'redrive' }] });
    await run(scene, redriveAll);
    scene.proxy.heal();
    const last = await run(scene, redriveAll);
    expect(last).toMatchObject({ outcome: 'converged', counts: { quarantined: 10, redriven: 0 } });
    expect(await balances(scene.database.db, scene.sender)).toEqual(returned);
    expect(returned.total).toBe(0);
    for (const gift of await giftRows(ids)) {
      expect(gift).toMatchObject({
        state: 'failed',
        failure_class: 'permanent',
        failure_code: 'mail_unreachable',
      });
    }
    expect(await contents(scene, 'dead-letters')).toEqual({ ready: [], inFlight: [] });
    expect((await contents(scene, 'queue')).ready).toEqual([]);
    for (const row of await letters()) {
      expect(row).toMatchObject({ verdict: 'quarantine', rule: 'permanent', applied_at: expect.any(Date) });
      expect(JSON.parse(row.body ?? '')).toMatchObject({ type: 'gift.deliver' });
      expect(row.attributes).toMatchObject({ attributes: { dead_letter_class: { text: 'permanent' } } });
    }
  });

  test('keeps poison with its bytes for a person, never quotes it in the log, and asks for one', async () => {
    const bodies = ['not json: ada@example.com', '{"type":"gift.deliver","version":"ada@example.com"}'];
    await bury(
      scene,
      bodies.map((body) => ({ body })),
    );
    const report = await run(scene);
    expect(report).toMatchObject({ outcome: 'needs_person', counts: { quarantined: 2, scanned: 2 } });
    const rows = await letters();
    expect(rows.map(({ body }) => body).toSorted()).toEqual(bodies.toSorted());
    for (const row of rows)
      expect(row).toMatchObject({ class: 'poison', gift_id: null, verdict: 'quarantine' });
    expect(JSON.stringify(report.reasons)).not.toContain('ada@example.com');
    expect(JSON.stringify(rows.map(({ reason }) => reason))).not.toContain('ada@example.com');
  });

  test('a reason that is cut in the middle of a character stops no run', async () => {
    const ids = await deadGifts(scene, 2);
    await buryGifts(scene, ids, { class: 'permanent', reason: `${'x'.repeat(999)}😀` });
    expect((await run(scene)).counts).toMatchObject({ quarantined: 2, errors: 0 });
    const reason = `${'x'.repeat(999)}\uFFFD`;
    expect(await letters()).toMatchObject([{ reason }, { reason }]);
  });

  test('leaves a gift alone that a worker is delivering at this moment', async () => {
    const [id] = await deadGifts(scene, 1);
    if (id === undefined) throw new Error('no gift');
    await buryGifts(scene, [id], { class: 'permanent' });
    await scene.database.db
      .updateTable('gifts')
      .set({ state: 'delivering', lease_until: new Date(Date.now() + 60_000) })
      .where('id', '=', toUuid(id))
      .execute();
    const report = await run(scene);
    expect(report).toMatchObject({ outcome: 'again', counts: { quarantined: 0, waiting: 1 } });
    expect(report.results).toMatchObject([{ verdict: 'wait', rule: 'in-delivery' }]);
    expect((await giftRows([id]))[0]?.state).toBe('delivering');
    expect((await contents(scene, 'dead-letters')).ready).toEqual([id]);
  });

  test('a resend that died is judged by itself: its gift is delivered and stays so', async () => {
    const [id] = await deadGifts(scene, 1);
    if (id === undefined) throw new Error('no gift');
    const { db } = scene.database;
    await placeGifts(db, [toUuid(id)], { state: 'delivered', dead_lettered_at: null });
    const resends = [newId('dlv'), newId('dlv'), newId('dlv')];
    await db
      .insertInto('deliveries')
      .values(
        resends.map((resend, index) => ({
          id: toUuid(resend),
          gift_id: toUuid(id),
          purpose: 'resend' as const,
          channel: 'email' as const,
          state: index === 2 ? ('sent' as const) : ('deferred' as const),
          attempts: 4,
          lease_until: null,
          dead_lettered_at: new Date(),
          state_changed_at: new Date(),
        })),
      )
      .execute();
    const [transient, permanent, sent] = resends;
    if (!transient || !permanent || !sent) throw new Error('no resends');
    await bury(scene, [
      giftMessage(transient),
      giftMessage(permanent, { class: 'permanent' }),
      giftMessage(sent),
    ]);
    const report = await run(scene);
    expect(report.counts).toMatchObject({ redriven: 1, quarantined: 1, discarded: 1 });
    const rows = await db.selectFrom('deliveries').selectAll().where('purpose', '=', 'resend').execute();
    const by = new Map(rows.map((row) => [row.id, row]));
    expect(by.get(toUuid(transient))).toMatchObject({
      state: 'deferred',
      attempts_forgiven: 4,
      dead_lettered_at: null,
    });
    expect(by.get(toUuid(permanent))).toMatchObject({ state: 'failed', attempts_forgiven: 0 });
    expect(by.get(toUuid(sent))).toMatchObject({ state: 'sent', attempts_forgiven: 0 });
    expect((await giftRows([id]))[0]?.state).toBe('delivered');
  });
});

describe('history', () => {
  test('P38: a message redriven k times is parked; the counter is ours, whatever SQS counts', async () => {
    const ids = await deadGifts(scene, 4);
    const full = { class: 'transient', reason: 'mailbox_unavailable' } as const;
    await buryGifts(scene, ids, full);
    const three = policy({ limits: { maxRedrives: 3 }, circuitBreaker: { minSamples: 1_000 } });
    for (let redrive = 1; redrive <= 3; redrive += 1) {
      // Receives by others raise SQS's own count and are nobody's redrive.
      for (let look = 0; look < 5; look += 1) await run(scene, three, { dryRun: true });
      const report = await run(scene, three);
      expect(report.counts).toMatchObject({ redriven: 4, quarantined: 0 });
      await dieAgain(scene, full);
      scene.advance(60);
    }
    const report = await run(scene, three);
    expect(report).toMatchObject({ outcome: 'needs_person', counts: { redriven: 0, quarantined: 4 } });
    expect(report.results.map(({ rule, letter }) => [rule, letter.redrives])).toEqual(
      ids.map(() => ['max-redrives', 3]),
    );
    expect((await giftRows(ids)).map(({ state }) => state)).toEqual(ids.map(() => 'failed'));
    expect(await contents(scene, 'dead-letters')).toEqual({ ready: [], inFlight: [] });
  });

  test('a message that SQS moved by itself is of class unknown, and its gift is marked while it waits', async () => {
    const [id] = await deadGifts(scene, 1);
    if (id === undefined) throw new Error('no gift');
    const { db } = scene.database;
    await db.updateTable('gifts').set({ dead_lettered_at: null }).where('id', '=', toUuid(id)).execute();
    await bury(scene, [giftMessage(id, null)]);
    const later = policy({
      rules: [{ name: 'later', match: { classes: ['unknown'], minAgeSeconds: 300 }, verdict: 'redrive' }],
    });
    const report = await run(scene, later);
    expect(report.results).toMatchObject([{ verdict: 'wait', rule: null, letter: { class: 'unknown' } }]);
    expect((await giftRows([id]))[0]?.dead_lettered_at).toBeInstanceOf(Date);
    expect(await letters()).toMatchObject([{ class: 'unknown', applied_at: null }]);

    scene.advance(301);
    expect((await run(scene, later)).counts).toMatchObject({ redriven: 1 });
  });

  test('P39: a message within 24 h of its end is archived with its body and alarmed; an earlier one is not', async () => {
    const day = 24 * 3_600;
    const ids = await deadGifts(scene, 2);
    await buryGifts(scene, ids);
    const nothing = policy({
      rules: [{ name: 'none', match: { classes: ['poison'] }, verdict: 'quarantine' }],
    });
    scene.advance(13 * day - 60);
    const early = await run(scene, nothing);
    expect(early).toMatchObject({ outcome: 'converged', counts: { archived: 0, waiting: 2 } });
    expect((await letters()).map(({ archived_at, body }) => [archived_at, body])).toEqual([
      [null, null],
      [null, null],
    ]);

    scene.advance(120);
    const late = await run(scene, nothing);
    expect(late).toMatchObject({ outcome: 'needs_person', counts: { archived: 2, waiting: 2 } });
    for (const row of await letters()) {
      expect(row).toMatchObject({ verdict: 'wait', archived_at: expect.any(Date) });
      expect(ids).toContain((JSON.parse(row.body ?? '') as { id: GiftId }).id);
    }
    expect((await contents(scene, 'dead-letters')).ready).toEqual(ids.toSorted());

    const alarms = async (report: RunReport) => {
      scene.log.length = 0;
      await logRun(scene.deps.log, report, statusAfter(null, report, null), 'info');
      return scene.log.filter(({ fields }) => fields['marker'] === '[MONITOR]');
    };
    expect(await alarms(early)).toEqual([]);
    expect(await alarms(late)).toMatchObject([
      { level: 'error', fields: { event: 'dead_letters_near_expiry', messages: 2 } },
    ]);
  });

  test('what is settled by now is discarded', async () => {
    const ids = await deadGifts(scene, 6);
    await buryGifts(scene, ids);
    const { db } = scene.database;
    const delivered = ids.slice(0, 2).map(toUuid);
    const cancelled = ids.slice(2, 4).map(toUuid);
    await placeGifts(db, delivered, { state: 'delivered' });
    for (const state of ['sending', 'sent'] as const) {
      await db.updateTable('deliveries').set({ state }).where('gift_id', 'in', delivered).execute();
    }
    await placeGifts(db, cancelled, { state: 'cancelled' });
    const report = await run(scene);
    expect(report.counts).toMatchObject({ scanned: 6, discarded: 4, redriven: 2 });
    expect((await contents(scene, 'queue')).ready).toEqual(ids.slice(4).toSorted());
  });

  test('a message of a gift that does not exist is judged by its class alone', async () => {
    await bury(scene, [giftMessage(newId('gft'), { class: 'permanent' }), giftMessage(newId('dlv'))]);
    const report = await run(scene);
    expect(report.counts).toMatchObject({ quarantined: 1, redriven: 1, errors: 0 });
  });
});
