import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { newId, toUuid } from '../../../services/domain/ids.ts';
import { creationContext } from '../../../services/queue/trace-context.ts';
import { failEntries, rewriteResponse } from '../../support/faults.ts';
import { placeGifts } from '../../support/gifts.ts';
import {
  bury,
  buryGifts,
  contents,
  deadGifts,
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

describe('what a queue may leave out is not required', () => {
  test.each<[string, (attributes: Record<string, string>) => Record<string, string>]>([
    ['does not tell when a message was sent', ({ SentTimestamp: _left, ...told }) => told],
    ['has a clock that is ahead', (told) => ({ ...told, SentTimestamp: String(Date.now() + 7_200_000) })],
  ])('a rule that waits for an age counts from the death, where the queue %s', async (_what, change) => {
    const ids = await deadGifts(scene, 2);
    await buryGifts(scene, ids);
    scene.proxy.inject({
      operation: 'ReceiveMessage',
      fault: rewriteResponse((answer) => ({
        ...answer,
        Messages: ((answer['Messages'] ?? []) as { Attributes?: Record<string, string> }[]).map(
          (message) => ({
            ...message,
            Attributes: change(message.Attributes ?? {}),
          }),
        ),
      })),
    });
    const patient = policy({
      rules: [{ name: 'transient', match: { minAgeSeconds: 300 }, verdict: 'redrive' }],
    });
    expect((await run(scene, patient)).counts).toMatchObject({ waiting: 2, redriven: 0 });
    scene.advance(301);
    expect((await run(scene, patient)).counts).toMatchObject({ waiting: 0, redriven: 2 });
  });
});

describe('redrive', () => {
  test('sends what can succeed back, with its whole retry budget, and says so in the audit trail', async () => {
    const ids = await deadGifts(scene, 25);
    await buryGifts(scene, ids);
    const report = await run(scene);

    expect(report).toMatchObject({ outcome: 'converged', reasons: [] });
    expect(report.counts).toMatchObject({
      scanned: 25,
      redriven: 25,
      waiting: 0,
      errors: 0,
      dead_letters: 0,
    });
    expect(await contents(scene, 'queue')).toEqual({ ready: ids.toSorted(), inFlight: [] });
    expect(await contents(scene, 'dead-letters')).toEqual({ ready: [], inFlight: [] });
    const rows = await letters();
    expect(rows).toHaveLength(25);
    for (const row of rows) {
      expect(row).toMatchObject({
        verdict: 'redrive',
        rule: 'transient',
        class: 'transient',
        run_id: report.runId,
      });
      expect(row).toMatchObject({ reason: 'mail_unreachable', body: null, applied_at: expect.any(Date) });
    }
    const uuids = ids.map(toUuid);
    const { db } = scene.database;
    const deliveries = await db.selectFrom('deliveries').selectAll().where('gift_id', 'in', uuids).execute();
    for (const delivery of deliveries) {
      expect(delivery).toMatchObject({ attempts: 6, attempts_forgiven: 6, dead_lettered_at: null });
    }
    const gifts = await db.selectFrom('gifts').selectAll().where('id', 'in', uuids).execute();
    for (const gift of gifts) expect(gift).toMatchObject({ state: 'queued', dead_lettered_at: null });
    const audits = await db
      .selectFrom('audit_records')
      .selectAll()
      .where('subject_id', 'in', uuids)
      .where('action', '=', 'gift.queued')
      .execute();
    expect(audits).toHaveLength(25);
    expect(audits[0]).toMatchObject({
      actor_kind: 'reconciler',
      request_id: 'req-1',
      data: { rule: 'transient', redrive: 1 },
    });
    const stored = await db.selectFrom('reconciler_runs').selectAll().executeTakeFirstOrThrow();
    expect(stored).toMatchObject({ outcome: 'converged', dry_run: false, counts: { redriven: 25 } });
  });

  test('a resend whose worker died while sending gets its whole budget again too', async () => {
    const [id] = await deadGifts(scene, 1);
    if (id === undefined) throw new Error('no gift');
    const { db } = scene.database;
    await placeGifts(db, [toUuid(id)], { state: 'delivered', dead_lettered_at: null });
    const resend = newId('dlv');
    const row = { id: toUuid(resend), gift_id: toUuid(id), purpose: 'resend', channel: 'email' } as const;
    const lapsed = { state: 'sending', lease_until: new Date(Date.now() - 60_000) } as const;
    await db
      .insertInto('deliveries')
      .values({ ...row, ...lapsed, attempts: 6, attempts_forgiven: 0, state_changed_at: new Date() })
      .execute();
    await bury(scene, [giftMessage(resend)]);
    expect((await run(scene)).counts).toMatchObject({ redriven: 1 });
    const after = db.selectFrom('deliveries').select(['attempts', 'attempts_forgiven']);
    expect(await after.where('id', '=', toUuid(resend)).execute()).toEqual([
      { attempts: 6, attempts_forgiven: 6 },
    ]);
  });

  test('the repeat of a mail in doubt is still owed: its message is redriven, though its gift counts as delivered', async () => {
    const [owed, settled] = await deadGifts(scene, 2);
    if (owed === undefined || settled === undefined) throw new Error('no gifts');
    const { db } = scene.database;
    await placeGifts(db, [toUuid(owed), toUuid(settled)], { state: 'delivered', dead_lettered_at: null });
    await db
      .updateTable('deliveries')
      .set({ state: 'failed' })
      .where('gift_id', '=', toUuid(settled))
      .execute();
    // As SQS itself moves what was received too often.
    await bury(scene, [giftMessage(owed, null), giftMessage(settled, null)]);
    expect((await run(scene)).counts).toMatchObject({ redriven: 1, discarded: 1 });
    expect((await contents(scene, 'queue')).ready).toEqual([owed]);
  });

  test('P35: of a send that failed in part, exactly the sent ones leave the dead-letter queue', async () => {
    const ids = await deadGifts(scene, 10);
    await buryGifts(scene, ids);
    const refused = new Set<string>();
    scene.proxy.inject({
      operation: 'SendMessageBatch',
      fault: failEntries((entry, index) => {
        const body = String(entry['MessageBody']);
        if (refused.size < 3 && index % 3 === 0) refused.add(body);
        return refused.has(body);
      }),
    });
    const first = await run(scene);

    const kept = [...refused].map((body) => (JSON.parse(body) as { id: string }).id).toSorted();
    expect(kept).toHaveLength(3);
    expect(first.outcome).toBe('again');
    expect(first.counts).toMatchObject({ scanned: 10, redriven: 7, errors: 3, dead_letters: 3 });
    expect(await contents(scene, 'dead-letters')).toEqual({ ready: kept, inFlight: [] });
    expect((await contents(scene, 'queue')).ready).toEqual(ids.filter((id) => !kept.includes(id)).toSorted());
    expect((await letters()).filter(({ applied_at }) => applied_at === null)).toHaveLength(3);
    const audits = () =>
      scene.database.db
        .selectFrom('audit_records')
        .select('subject_id')
        .where('subject_id', 'in', ids.map(toUuid))
        .where('action', '=', 'gift.queued')
        .execute();
    expect(await audits()).toHaveLength(7);

    scene.proxy.heal();
    const second = await run(scene);
    expect(second.counts).toMatchObject({ scanned: 3, redriven: 3, errors: 0 });
    expect((await audits()).map((row) => row.subject_id).toSorted()).toEqual(ids.map(toUuid).toSorted());
    expect((await contents(scene, 'queue')).ready).toEqual(ids.toSorted());
    expect((await contents(scene, 'dead-letters')).ready).toEqual([]);
  });

  test('P34: what was sent and could not be deleted is deleted by the next run, and not sent again', async () => {
    const ids = await deadGifts(scene, 10);
    await buryGifts(scene, ids);
    scene.proxy.inject({
      operation: 'DeleteMessageBatch',
      fault: failEntries(() => true, { senderFault: true }),
    });
    const first = await run(scene);
    expect(first).toMatchObject({ outcome: 'again', counts: { redriven: 10, errors: 10, dead_letters: 10 } });

    scene.proxy.heal();
    const second = await run(scene);
    expect(second).toMatchObject({ outcome: 'converged', counts: { redriven: 0, finished: 10 } });
    expect((await contents(scene, 'queue')).ready).toEqual(ids.toSorted());
    expect(await contents(scene, 'dead-letters')).toEqual({ ready: [], inFlight: [] });
  });

  test('P36: a full scan ends, asks for each message once, and leaves what matched nothing visible', async () => {
    const ids = await deadGifts(scene, 120);
    await buryGifts(scene, ids);
    const waitForAll = policy({
      rules: [{ name: 'none', match: { classes: ['poison'] }, verdict: 'quarantine' }],
    });
    const deletesBefore = scene.proxy.requests('DeleteMessageBatch');
    const report = await run(scene, waitForAll);

    expect(report).toMatchObject({
      outcome: 'converged',
      counts: { scanned: 120, waiting: 120, redriven: 0 },
    });
    expect(await contents(scene, 'dead-letters')).toEqual({ ready: ids.toSorted(), inFlight: [] });
    expect((await contents(scene, 'queue')).ready).toEqual([]);
    expect(scene.proxy.requests('DeleteMessageBatch')).toBe(deletesBefore);
    const { ready } = await scene.emulator.inspect(scene.queue.deadLetterName);
    expect(new Set(ready.map(({ approximateReceiveCount }) => approximateReceiveCount))).toEqual(
      new Set([1]),
    );
  });

  test('P37: attributes, group and trace of a message survive its redrive', async () => {
    const [id] = await deadGifts(scene, 1);
    if (id === undefined) throw new Error('no gift');
    const traceHeader = 'Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1';
    const attributes = Object.fromEntries(
      Array.from({ length: 8 }, (_, index) => [
        `kept_${index}`,
        { DataType: 'String', StringValue: `v${index}` },
      ]),
    );
    const message = giftMessage(id, { class: 'transient' }, { attributes });
    await bury(scene, [message]);
    scene.proxy.inject({
      operation: 'ReceiveMessage',
      fault: rewriteResponse((answer) => ({
        ...answer,
        Messages: ((answer['Messages'] ?? []) as { Attributes?: object }[]).map((received) => ({
          ...received,
          Attributes: { ...received.Attributes, MessageGroupId: 'sen_1', AWSTraceHeader: traceHeader },
        })),
      })),
    });
    const report = await run(scene);

    const [entry] = (scene.proxy.bodies('SendMessageBatch').at(-1)?.['Entries'] ?? []) as Record<
      string,
      unknown
    >[];
    expect(entry).toMatchObject({
      MessageBody: message.body,
      MessageGroupId: 'sen_1',
      MessageSystemAttributes: { AWSTraceHeader: { StringValue: traceHeader } },
    });
    expect(entry?.['MessageAttributes']).toEqual(attributes);
    const [letter] = report.results.map((result) => result.letter);
    expect(letter?.traceparent).toBe('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
    expect(letter && creationContext(letter.message)?.traceId).toBe('0af7651916cd43dd8448eb211c80319c');
  });
});
