import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { claimGifts } from '../../../services/domain/deliveries/claim-gifts.ts';
import { settleDeliveries } from '../../../services/domain/deliveries/settle-deliveries.ts';
import { type DeliveryId, type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { decodeEnvelope } from '../../../services/queue/envelope.ts';
import { sendMessages } from '../../../services/queue/producer.ts';
import { staleCounts } from '../../support/faults.ts';
import { accept, draftGift, type FundedSender, fundedSender, keyring } from '../../support/gifts.ts';
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

/** As what was dead-lettered an hour ago. */
async function dieAnHourAgo(gifts: readonly GiftId[], resends: readonly DeliveryId[]): Promise<void> {
  const anHourAgo = new Date(Date.now() - 3_600_000);
  const times = { dead_lettered_at: anHourAgo, state_changed_at: anHourAgo };
  const { db } = scene.database;
  await db.updateTable('gifts').set(times).where('id', 'in', gifts.map(toUuid)).execute();
  for (const id of resends)
    await db.updateTable('deliveries').set(times).where('id', '=', toUuid(id)).execute();
}

const markedIn = (table: 'gifts' | 'deliveries', ids: readonly (GiftId | DeliveryId)[]) =>
  scene.database.db
    .selectFrom(table)
    .select('id')
    .where('id', 'in', ids.map(toUuid))
    .where('dead_lettered_at', 'is not', null)
    .execute();

/** The source queue as SQS counts it: more messages wait than a drained queue may show. */
function busyQueue(waiting = 100_000): void {
  scene.proxy.inject({
    operation: 'GetQueueAttributes',
    when: ({ QueueUrl }) => String(QueueUrl).endsWith(scene.queue.name),
    fault: staleCounts({ ApproximateNumberOfMessages: String(waiting) }),
  });
}

async function putIntoOutbox(bodies: string[]): Promise<void> {
  await scene.database.db
    .insertInto('outbox')
    .values(
      bodies.map((body) => ({
        queue: 'gifts',
        body,
        group_id: null,
        trace_header: null,
        available_at: new Date(Date.now() - 120_000),
        parked_reason: null,
      })),
    )
    .execute();
}

/** One gift for each of these ages, queued so many minutes ago, by one sender. */
async function queuedGifts(sender: FundedSender, minutesAgo: readonly number[]): Promise<GiftId[]> {
  const { db } = scene.database;
  const drafts = minutesAgo.map(() => draftGift(sender, { value: { amount: 100, currency: 'EUR' } }));
  const ids = (await accept(db, drafts)).gifts.map(({ id }) => id);
  await db.deleteFrom('outbox').execute();
  for (const [index, minutes] of minutesAgo.entries()) {
    await sql`
      update gifts set created_at = clock_timestamp() - make_interval(mins => ${minutes}),
        state_changed_at = clock_timestamp() - make_interval(mins => ${minutes})
      where id = ${toUuid(ids[index] as GiftId)}`.execute(db);
  }
  return ids;
}

/** As a consumer leaves them that received their messages just now. */
async function receive(ids: readonly GiftId[]): Promise<void> {
  const { db } = scene.database;
  const requests = ids.map((giftId) => ({ giftId, messageId: `m-${giftId}`, receiveCount: 1 }));
  const works = await db
    .transaction()
    .execute((trx) => claimGifts(trx, { keyring, leaseSeconds: 60 }, requests));
  const settlements = works.flatMap((result) =>
    result.kind === 'claimed'
      ? [{ deliveryId: result.work.deliveryId, attempt: 1, outcome: 'sent' as const }]
      : [],
  );
  await db.transaction().execute((trx) => settleDeliveries(trx, settlements));
}

const requeued = async () => (await outboxRows()).map(({ body }) => decodeEnvelope(body).id).toSorted();

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

  test('a backlog is not a loss: with messages waiting, and none received, nothing is queued again', async () => {
    await strandedGifts(3);
    busyQueue();
    expect((await run(scene)).counts).toMatchObject({ requeued_gifts: 0, stuck_queued: 3 });
  });

  test('what waits for a relay has its message, and keeps nobody else from being found', async () => {
    const ids = await strandedGifts(3);
    const [waiting, ...lost] = ids;
    await putIntoOutbox([JSON.stringify({ type: 'gift.deliver', id: waiting }), '{}', 'no json']);
    expect((await run(scene)).counts).toMatchObject({ requeued_gifts: 2 });
    const queued = (await outboxRows()).flatMap(({ body }) =>
      body.includes('occurred_at') ? [decodeEnvelope(body).id] : [],
    );
    expect(queued.toSorted()).toEqual(lost.toSorted());
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

  test('a lost message is found wherever it lay: a dead-letter queue that was purged has its gifts and resends queued again', async () => {
    const gifts = await deadGifts(scene, 2);
    const resends = await deadResends(scene, 2);
    await dieAnHourAgo(gifts, resends);
    const dry = await run(scene, policy(), { dryRun: true });
    expect(dry.counts).toMatchObject({ requeued_gifts: 2, requeued_deliveries: 2 });
    expect((await run(scene)).counts).toMatchObject({ requeued_gifts: 2, requeued_deliveries: 2 });
    expect(await requeued()).toEqual([...gifts, ...resends].toSorted());
    expect(await markedIn('gifts', gifts)).toEqual([]);
  });

  test('a dead letter that is there, was seen a moment ago, or may be beyond what was seen is not lost', async () => {
    const gifts = await deadGifts(scene, 3);
    await dieAnHourAgo(gifts, []);
    const nothing = policy({
      rules: [{ name: 'none', match: { classes: ['poison'] }, verdict: 'quarantine' }],
    });
    await buryGifts(scene, gifts, null);
    const part = { ...nothing, limits: { ...nothing.limits, maxMessages: 2 } };
    expect((await run(scene, part)).counts).toMatchObject({ waiting: 2, requeued_gifts: 0 });
    expect((await run(scene, nothing)).counts).toMatchObject({ waiting: 3, requeued_gifts: 0 });
    scene.queue = await scene.emulator.createQueuePair();
    expect((await run(scene, nothing)).counts).toMatchObject({ scanned: 0, requeued_gifts: 0 });
    await sql`update dead_letters set last_seen_at = clock_timestamp() - interval '1 hour'`.execute(
      scene.database.db,
    );
    expect((await run(scene, nothing)).counts).toMatchObject({ scanned: 0, requeued_gifts: 3 });
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

describe('the sweep of a busy system: a lost message is found by what was received, not by an empty queue', () => {
  // Attempts are for ever, and the gifts of earlier tests no part of this one's queue.
  beforeEach(async () => {
    await sql`update delivery_attempts set started_at = clock_timestamp() - interval '1 day'`.execute(
      scene.database.db,
    );
    busyQueue();
  });

  test('within 30 minutes, at any load: those whose turn is over, and none that wait for theirs', async () => {
    // Three hours of backlog, one gift a minute; the consumers are at those of two and a half hours ago.
    const minutes = Array.from({ length: 181 }, (_, index) => 180 - index);
    const ids = await queuedGifts(scene.sender, minutes);
    const isLost = (ago: number) => ago > 155 && ago % 7 === 0;
    const of = (wanted: (ago: number) => boolean) => ids.filter((_id, index) => wanted(minutes[index] ?? 0));
    await receive(of((ago) => ago >= 150 && !isLost(ago)));
    const report = await run(scene);
    // Half of what was received in the last minutes is newer than the 165th minute; two more are left to disorder.
    const found = await requeued();
    expect(found).toEqual(of((ago) => isLost(ago) && ago > 167).toSorted());
    expect(report.counts.requeued_gifts).toBe(found.length);

    // As the consumers come on, so does the sweep; what waits is never touched.
    await sql`update delivery_attempts set started_at = clock_timestamp() - interval '11 minutes'`.execute(
      scene.database.db,
    );
    await receive(of((ago) => ago >= 100 && ago < 150));
    await run(scene);
    expect(await requeued()).toEqual(of(isLost).toSorted());
  });

  test('a queue that moves fast has its lost message back after 20 minutes', async () => {
    const [lost] = await queuedGifts(scene.sender, [21]);
    await receive(await queuedGifts(scene.sender, [9, 8, 7, 6, 5, 4, 3, 2, 1]));
    await queuedGifts(scene.sender, [0, 0, 0]);
    expect((await run(scene)).counts).toMatchObject({ requeued_gifts: 1 });
    expect(await requeued()).toEqual([lost]);
    // It has its message again, and twenty minutes to be received: it is not queued a third time meanwhile.
    await scene.database.db.deleteFrom('outbox').execute();
    expect((await run(scene)).counts).toMatchObject({ requeued_gifts: 0 });
  });

  test('a fair queue serves senders in turns: what a quiet one gives later does not accuse a busy one', async () => {
    const quiet = await fundedSender(scene.database.db, 100_000);
    const backlog = await queuedGifts(scene.sender, [120, 110, 100, 90, 80, 70, 60, 50, 40]);
    await receive(backlog.slice(0, 2));
    await receive(await queuedGifts(quiet, [9, 8, 7, 6, 5, 4, 3, 2]));
    const [lost] = await queuedGifts(quiet, [30]);
    await run(scene);
    expect(await requeued()).toEqual([lost]);
  });

  test('while nothing is received, nobody can say what is lost', async () => {
    await queuedGifts(scene.sender, [600, 500, 400]);
    await receive(await queuedGifts(scene.sender, [30, 29, 28]));
    await sql`update delivery_attempts set started_at = clock_timestamp() - interval '11 minutes'`.execute(
      scene.database.db,
    );
    expect((await run(scene)).counts).toMatchObject({ requeued_gifts: 0 });
  });

  test('resends are found in the same way', async () => {
    const [lost, waiting] = await deadResends(scene, 2);
    if (!lost || !waiting) throw new Error('no resends');
    for (const [id, minutes] of [
      [lost, 60],
      [waiting, 21],
    ] as const) {
      await sql`update deliveries set dead_lettered_at = null,
        state_changed_at = clock_timestamp() - make_interval(mins => ${minutes}) where id = ${toUuid(id)}`.execute(
        scene.database.db,
      );
    }
    await receive(await queuedGifts(scene.sender, [40, 39, 38]));
    expect((await run(scene)).counts).toMatchObject({ requeued_deliveries: 1 });
    expect(await requeued()).toEqual([lost]);
  });

  test('the repeat of a mail in doubt is found as well, and its gift stays delivered', async () => {
    const { db } = scene.database;
    const { gifts } = await accept(db, [draftGift(scene.sender), draftGift(scene.sender)]);
    const [lost, waiting] = gifts.map(({ id }) => id);
    if (!lost || !waiting) throw new Error('no gifts');
    await db.deleteFrom('outbox').execute();
    const claim = async (giftId: GiftId) => {
      const [claimed] = await db
        .transaction()
        .execute((trx) =>
          claimGifts(trx, { keyring, leaseSeconds: 60 }, [{ giftId, messageId: 'm', receiveCount: 1 }]),
        );
      if (claimed?.kind !== 'claimed') throw new Error(`not claimed: ${claimed?.kind}`);
      return claimed.work;
    };
    const failure = { class: 'transient', code: 'worker_lost', reason: 'gone' } as const;
    for (const [giftId, repeatSeconds] of [
      [lost, 0],
      [waiting, 7_200],
    ] as const) {
      const { deliveryId } = await claim(giftId);
      const settlement = { deliveryId, attempt: 1, outcome: 'in_doubt', failure, repeatSeconds } as const;
      await db.transaction().execute((trx) => settleDeliveries(trx, [settlement]));
    }
    await sql`update deliveries set state_changed_at = clock_timestamp() - interval '1 hour'
      where gift_id in (${toUuid(lost)}, ${toUuid(waiting)})`.execute(db);
    await sql`update delivery_attempts a set next_attempt_at = a.next_attempt_at - interval '1 hour'
      from deliveries d where d.id = a.delivery_id and d.gift_id in (${toUuid(lost)}, ${toUuid(waiting)})`.execute(
      db,
    );
    expect((await run(scene, policy(), { dryRun: true })).counts).toMatchObject({ requeued_deliveries: 1 });
    expect((await run(scene)).counts).toMatchObject({ requeued_gifts: 0, requeued_deliveries: 1 });
    const messages = (await outboxRows()).map(({ body }) => decodeEnvelope(body));
    expect(messages).toMatchObject([{ type: 'gift.deliver', id: lost }]);
    const gift = await db
      .selectFrom('gifts')
      .select('state')
      .where('id', '=', toUuid(lost))
      .executeTakeFirst();
    expect(gift).toEqual({ state: 'delivered' });
    expect(await claim(lost)).toMatchObject({ attempt: 2, inDoubt: 1 });
    expect((await run(scene)).counts).toMatchObject({ requeued_deliveries: 0 });
  });

  test('what may be tried again only in hours has its message until then, also in a drained queue', async () => {
    scene.proxy.heal();
    const [patient, lost] = await queuedGifts(scene.sender, [0, 0]);
    if (!patient || !lost) throw new Error('no gifts');
    const { db } = scene.database;
    for (const [giftId, hours] of [
      [patient, 2],
      [lost, -1],
    ] as const) {
      const [claim] = await db
        .transaction()
        .execute((trx) =>
          claimGifts(trx, { keyring, leaseSeconds: 60 }, [{ giftId, messageId: 'm', receiveCount: 1 }]),
        );
      if (claim?.kind !== 'claimed') throw new Error('not claimed');
      const failure = { class: 'transient', code: 'mail_deferred', reason: 'later' } as const;
      await db.transaction().execute((trx) =>
        settleDeliveries(trx, [
          {
            deliveryId: claim.work.deliveryId,
            attempt: 1,
            outcome: 'retry',
            failure,
            retrySeconds: hours * 3_600,
          },
        ]),
      );
    }
    await sql`update gifts set state_changed_at = clock_timestamp() - interval '1 hour'
      where id in (${toUuid(patient)}, ${toUuid(lost)})`.execute(db);
    await run(scene);
    expect(await requeued()).toEqual([lost]);
  });
});
