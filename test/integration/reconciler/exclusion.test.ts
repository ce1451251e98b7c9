import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { newUuid } from '../../../services/domain/ids.ts';
import { acquireLease } from '../../../services/reconciler/lease.ts';
import { eventually } from '../../support/eventually.ts';
import { respondWith } from '../../support/faults.ts';
import { buryGifts, contents, deadGifts, openScene, policy, run, type Scene } from './setup.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
beforeEach(() => scene.reset());
afterAll(() => scene.close());

describe('exclusion', () => {
  test('P41: an active move task on the same queue is refused, and nothing is looked at', async () => {
    await buryGifts(scene, await deadGifts(scene, 3));
    scene.proxy.inject({
      operation: 'ListMessageMoveTasks',
      fault: respondWith({
        Results: [
          {
            Status: 'RUNNING',
            StartedTimestamp: 1_790_000_000_000,
            ApproximateNumberOfMessagesMoved: 7,
            ApproximateNumberOfMessagesToMove: 10,
          },
        ],
      }),
    });
    const receives = scene.proxy.requests('ReceiveMessage');
    const report = await run(scene);
    expect(report).toMatchObject({ outcome: 'again', counts: { scanned: 0 } });
    expect(report.reasons[0]).toContain('move task RUNNING since 2026-09-21');
    expect(scene.proxy.requests('ReceiveMessage')).toBe(receives);

    scene.proxy.heal();
    expect((await run(scene)).counts).toMatchObject({ redriven: 3 });
  });

  test('P40: of two runs at once one holds the lease, and the other names it and touches nothing', async () => {
    const ids = await deadGifts(scene, 30);
    await buryGifts(scene, ids);
    const slow = run(scene, policy({ limits: { ratePerSecond: 20 } }));
    await eventually(async () => expect((await contents(scene, 'queue')).ready.length).toBeGreaterThan(0));
    const second = await run(scene);
    expect(second).toMatchObject({ outcome: 'again', counts: { scanned: 0, redriven: 0 } });
    const first = await slow;
    expect(second.reasons[0]).toContain(
      `run ${first.runId} works on gifts, started ${first.startedAt.toISOString()}`,
    );
    expect(first.counts).toMatchObject({ redriven: 30 });
    expect((await contents(scene, 'queue')).ready).toEqual(ids.toSorted());

    expect(await run(scene)).toMatchObject({ outcome: 'converged' });
  });

  test('P40: a holder whose lease has passed on sends nothing more', async () => {
    const ids = await deadGifts(scene, 40);
    await buryGifts(scene, ids);
    const running = run(scene, policy({ limits: { ratePerSecond: 20 } }));
    await eventually(async () => expect((await contents(scene, 'queue')).ready.length).toBeGreaterThan(0));
    await sql`update reconciler_leases set holder = ${newUuid()}, token = token + 1`.execute(scene.deps.db);
    const sends = scene.proxy.requests('SendMessageBatch');
    const report = await running;
    expect(scene.proxy.requests('SendMessageBatch')).toBe(sends);
    expect(report).toMatchObject({
      outcome: 'again',
      counts: { redriven: 10, stopped: 30, requeued_gifts: 0 },
    });
    expect((await contents(scene, 'queue')).ready).toHaveLength(10);
  });

  test('a lease that ran out is lost to its holder, can be taken, and its token grows', async () => {
    const { db } = scene.deps;
    const first = await acquireLease(db, 'gifts', { holder: newUuid() });
    const second = await acquireLease(db, 'gifts', { holder: newUuid() });
    if (!('lease' in first)) throw new Error('the first run did not get the lease');
    expect(second).toMatchObject({ heldBy: { token: 1 } });
    expect(await first.lease.confirm()).toBe(true);

    await sql`update reconciler_leases set expires_at = clock_timestamp()`.execute(db);
    const third = await acquireLease(db, 'gifts', { holder: newUuid() });
    if (!('lease' in third)) throw new Error('the lease could not be taken');
    expect(await first.lease.confirm()).toBe(false);
    expect(first.lease.lost.aborted).toBe(true);
    await first.lease.release();
    expect(await third.lease.confirm()).toBe(true);
    await third.lease.release();
    const row = await db.selectFrom('reconciler_leases').selectAll().executeTakeFirstOrThrow();
    expect(row.token).toBe(2);
  });

  test('a lease renews itself', async () => {
    const { db } = scene.deps;
    const taken = await acquireLease(db, 'gifts', { holder: newUuid(), ttlSeconds: 0.3 });
    if (!('lease' in taken)) throw new Error('the lease could not be taken');
    const read = () => db.selectFrom('reconciler_leases').select('expires_at').executeTakeFirstOrThrow();
    const before = await read();
    await eventually(async () => expect((await read()).expires_at > before.expires_at).toBe(true));
    expect(taken.lease.isValid()).toBe(true);
    await taken.lease.release();
  });

  test('a stop signal ends the run at the next batch; the rest is visible again and the next run goes on', async () => {
    const ids = await deadGifts(scene, 40);
    await buryGifts(scene, ids);
    const stop = new AbortController();
    const running = run(scene, policy({ limits: { ratePerSecond: 20 } }), { signal: stop.signal });
    await eventually(async () => expect((await contents(scene, 'queue')).ready.length).toBeGreaterThan(0));
    stop.abort();
    const report = await running;
    expect(report.outcome).toBe('again');
    expect(report.counts.stopped).toBeGreaterThan(0);
    expect(report.counts.redriven + report.counts.stopped).toBe(40);
    const left = await contents(scene, 'dead-letters');
    expect(left.inFlight).toEqual([]);
    expect(left.ready).toHaveLength(report.counts.stopped);

    const next = await run(scene);
    expect(next.counts).toMatchObject({ redriven: report.counts.stopped });
    expect((await contents(scene, 'queue')).ready).toEqual(ids.toSorted());
  });

  test('a suspended policy looks at nothing', async () => {
    await buryGifts(scene, await deadGifts(scene, 2));
    const receives = scene.proxy.requests('ReceiveMessage');
    expect(await run(scene, policy({ suspend: true }))).toMatchObject({ outcome: 'suspended' });
    expect(scene.proxy.requests('ReceiveMessage')).toBe(receives);
  });
});
