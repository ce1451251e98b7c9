import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type DeliveryId, type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { decodeEnvelope } from '../../../services/queue/envelope.ts';
import { sendMessages } from '../../../services/queue/producer.ts';
import { staleCounts } from '../../support/faults.ts';
import { accept, draftGift } from '../../support/gifts.ts';
import {
  bury,
  buryGifts,
  contents,
  deadGifts,
  deadResends,
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

/** Gifts that are queued for an hour, and whose message was published and is gone. */
async function strandedGifts(count: number): Promise<GiftId[]> {
  const { db } = scene.database;
  const { gifts } = await accept(
    db,
    Array.from({ length: count }, () => draftGift(scene.sender, { requestId: 'req-9' })),
  );
  const ids = gifts.map(({ id }) => id);
  await db.deleteFrom('outbox').execute();
  await db
    .updateTable('gifts')
    .set({ state_changed_at: new Date(Date.now() - 3_600_000) })
    .where('id', 'in', ids.map(toUuid))
    .execute();
  return ids;
}

/** As a worker leaves them that died an hour ago, and did not live to say anything. */
async function abandon(table: 'gifts' | 'deliveries', ids: readonly (GiftId | DeliveryId)[]): Promise<void> {
  const anHourAgo = new Date(Date.now() - 3_600_000);
  await scene.database.db
    .updateTable(table)
    .set({ state: table === 'gifts' ? 'delivering' : 'sending', dead_lettered_at: null })
    .set({ lease_until: anHourAgo, state_changed_at: anHourAgo })
    .where('id', 'in', ids.map(toUuid))
    .execute();
}

const markedIn = (table: 'gifts' | 'deliveries', ids: readonly (GiftId | DeliveryId)[]) =>
  scene.database.db
    .selectFrom(table)
    .select('id')
    .where('id', 'in', ids.map(toUuid))
    .where('dead_lettered_at', 'is not', null)
    .execute();

const outboxRows = () => scene.database.db.selectFrom('outbox').selectAll().execute();

describe('sweep', () => {
  test('a gift whose message vanished is queued again, once, and counted as corrected', async () => {
    const ids = await strandedGifts(12);
    const report = await run(scene);
    expect(report).toMatchObject({
      outcome: 'converged',
      counts: { requeued_gifts: 12, requeued_deliveries: 0 },
    });
    const rows = await outboxRows();
    const envelopes = rows.map(({ body }) => decodeEnvelope(body));
    expect(envelopes.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    expect(envelopes[0]).toMatchObject({ type: 'gift.deliver', version: 1, request_id: 'req-9' });
    expect(rows[0]).toMatchObject({ queue: 'gifts', group_id: scene.sender.senderId });
    expect((await run(scene)).counts).toMatchObject({ requeued_gifts: 0 });
  });

  test('a backlog is not a loss: with messages waiting, or a relay behind, nothing is queued again', async () => {
    await strandedGifts(3);
    scene.proxy.inject({
      operation: 'GetQueueAttributes',
      when: ({ QueueUrl }) => String(QueueUrl).endsWith(scene.queue.name),
      fault: staleCounts({ ApproximateNumberOfMessages: '11' }),
    });
    expect((await run(scene)).counts).toMatchObject({ requeued_gifts: 0, stuck_queued: 3 });
    scene.proxy.heal();

    await scene.database.db
      .insertInto('outbox')
      .values({
        queue: 'gifts',
        body: '{}',
        group_id: null,
        trace_header: null,
        available_at: new Date(Date.now() - 120_000),
        parked_reason: null,
      })
      .execute();
    expect((await run(scene)).counts).toMatchObject({ requeued_gifts: 0, stuck_queued: 3 });
  });

  test('messages in flight are no backlog: a busy system is swept at the short age', async () => {
    await strandedGifts(3);
    const counts = { ApproximateNumberOfMessages: '0', ApproximateNumberOfMessagesNotVisible: '50' };
    scene.proxy.inject({
      operation: 'GetQueueAttributes',
      when: ({ QueueUrl }) => String(QueueUrl).endsWith(scene.queue.name),
      fault: staleCounts(counts),
    });
    expect((await run(scene)).counts).toMatchObject({ requeued_gifts: 3 });
  });

  test('a consumer that pauses for longer is given longer', async () => {
    await strandedGifts(3);
    const silence = { retryCapMs: 7_200_000, leaseSeconds: 60 };
    const patient = { ...scene, deps: { ...scene.deps, silence } };
    expect((await run(patient)).counts).toMatchObject({ requeued_gifts: 0 });
    expect((await run(scene)).counts).toMatchObject({ requeued_gifts: 3 });
  });

  test('a dry run counts what a real one would queue, and waits for nobody: it locks and writes nothing', async () => {
    const ids = await strandedGifts(3);
    const { db } = scene.database;
    const dry = await db.transaction().execute(async (trx) => {
      await trx.selectFrom('gifts').select('id').where('id', 'in', ids.map(toUuid)).forUpdate().execute();
      return run(scene, policy(), { dryRun: true });
    });
    expect(dry.counts).toMatchObject({ requeued_gifts: 3 });
    expect(await outboxRows()).toEqual([]);
    expect((await run(scene)).counts).toMatchObject({ requeued_gifts: 3 });
  });

  test('P43: what a worker died with keeps its one message while that waits in the dead-letter queue', async () => {
    const gifts = await deadGifts(scene, 3);
    const resends = await deadResends(scene, 2);
    await abandon('gifts', gifts);
    await abandon('deliveries', resends);
    await buryGifts(scene, [...gifts, ...resends], null);
    const later = policy({
      rules: [{ name: 'later', match: { minAgeSeconds: 86_400 }, verdict: 'redrive' }],
    });
    const dry = await run(scene, later, { dryRun: true });
    const real = await run(scene, later);
    expect(real.counts).toMatchObject({ waiting: 5, requeued_gifts: 0, requeued_deliveries: 0 });
    expect(real.counts).toEqual(dry.counts);
    expect(await outboxRows()).toEqual([]);
    expect(await markedIn('gifts', gifts)).toHaveLength(3);
    expect(await markedIn('deliveries', resends)).toHaveLength(2);
    expect((await contents(scene, 'dead-letters')).ready).toEqual([...gifts, ...resends].toSorted());
  });

  test('what a worker is on, or is just settling, is not marked as dead', async () => {
    const gifts = await deadGifts(scene, 2);
    const resends = await deadResends(scene, 2);
    const [leased, settling] = gifts;
    const [leasedSend, settlingSend] = resends;
    if (!leased || !settling || !leasedSend || !settlingSend) throw new Error('no gifts');
    await abandon('gifts', gifts);
    await abandon('deliveries', resends);
    const { db } = scene.database;
    const lease = { lease_until: new Date(Date.now() + 60_000) };
    await db.updateTable('gifts').set(lease).where('id', '=', toUuid(leased)).execute();
    await db.updateTable('deliveries').set(lease).where('id', '=', toUuid(leasedSend)).execute();
    await buryGifts(scene, [...gifts, ...resends], null);
    const nothing = policy({
      rules: [{ name: 'none', match: { classes: ['poison'] }, verdict: 'quarantine' }],
    });
    await db.transaction().execute(async (trx) => {
      await trx.selectFrom('gifts').select('id').where('id', '=', toUuid(settling)).forUpdate().execute();
      const send = trx.selectFrom('deliveries').select('id').where('id', '=', toUuid(settlingSend));
      await send.forUpdate().execute();
      const report = await run(scene, nothing);
      expect(report.counts).toMatchObject({ waiting: 4, requeued_gifts: 0, requeued_deliveries: 0 });
    });
    expect(await markedIn('gifts', gifts)).toEqual([]);
    expect(await markedIn('deliveries', resends)).toEqual([]);
  });

  test('a resend whose worker died each time is failed when it is quarantined, and not queued again', async () => {
    const resends = await deadResends(scene, 2);
    await abandon('deliveries', resends);
    await bury(
      scene,
      resends.map((id) => giftMessage(id, { class: 'permanent' })),
    );
    expect((await run(scene)).counts).toMatchObject({ quarantined: 2, requeued_deliveries: 0 });
    const rows = scene.database.db.selectFrom('deliveries').select(['state', 'lease_until']);
    expect(await rows.where('id', 'in', resends.map(toUuid)).execute()).toEqual([
      { state: 'failed', lease_until: null },
      { state: 'failed', lease_until: null },
    ]);
    expect(await outboxRows()).toEqual([]);
  });

  test('with messages waiting, only what is older than any message can be has lost its own', async () => {
    const [old] = await strandedGifts(2);
    if (old === undefined) throw new Error('no gift');
    const day = 24 * 3_600_000;
    await scene.database.db
      .updateTable('gifts')
      .set({ state_changed_at: new Date(Date.now() - 15 * day) })
      .where('id', '=', toUuid(old))
      .execute();
    await sendMessages(
      scene.direct,
      scene.queue.url,
      Array.from({ length: 20 }, () => giftMessage(old, null)),
    );
    const report = await run(scene);
    expect(report.counts).toMatchObject({ requeued_gifts: 1 });
    expect((await outboxRows()).map(({ body }) => decodeEnvelope(body).id)).toEqual([old]);
  });

  test('maxMessages bounds the sweep too', async () => {
    await strandedGifts(30);
    const report = await run(scene, policy({ limits: { maxMessages: 10 } }));
    expect(report.counts).toMatchObject({ requeued_gifts: 10 });
  });

  test('gifts that stand still are reported and left alone', async () => {
    const { db } = scene.database;
    const { gifts } = await accept(db, [
      draftGift(scene.sender, { deliverAt: new Date(Date.now() + 60_000) }),
      draftGift(scene.sender),
    ]);
    const [scheduled, delivering] = gifts;
    if (!scheduled || !delivering) throw new Error('no gifts');
    await db.deleteFrom('outbox').execute();
    const twoHoursAgo = new Date(Date.now() - 7_200_000);
    await db
      .updateTable('gifts')
      .set({ deliver_at: twoHoursAgo })
      .where('id', '=', toUuid(scheduled.id))
      .execute();
    await db
      .updateTable('gifts')
      .set({ state: 'delivering', state_changed_at: twoHoursAgo, lease_until: new Date(Date.now() + 60_000) })
      .where('id', '=', toUuid(delivering.id))
      .execute();
    const report = await run(scene);
    expect(report.counts).toMatchObject({ stuck_scheduled: 1, stuck_delivering: 1, requeued_gifts: 0 });
  });
});
