import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { toUuid } from '../../../services/domain/ids.ts';
import { subjectIdsOf } from '../../../services/reconciler/letter-subjects.ts';
import type { RunCounts } from '../../../services/reconciler/run-report.ts';
import { cancel, placeGifts } from '../../support/gifts.ts';
import {
  bury,
  buryGifts,
  contents,
  deadGifts,
  deadResends,
  dieAgain,
  giftMessage,
  markDead,
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

const breaker = { windowSeconds: 600, maxFailureRatio: 0.5, minSamples: 20 };

/** The consumer's side of a redrive that succeeds. */
async function arrive(what: 'gifts' | 'resends', uuids: string[]): Promise<void> {
  const { db } = scene.database;
  if (what === 'gifts') return await placeGifts(db, uuids, { state: 'delivered' });
  for (const state of ['sending', 'sent'] as const) {
    await db.updateTable('deliveries').set({ state }).where('id', 'in', uuids).execute();
  }
}

describe.each([
  { what: 'gifts', dead: deadGifts },
  { what: 'resends', dead: deadResends },
] as const)('circuit breaker, $what', ({ what, dead }) => {
  test('P42: opens when redriven messages die again, lets probes through after the window, closes when they arrive', async () => {
    const guarded = policy({ circuitBreaker: breaker, limits: { maxRedrives: 100 } });
    await buryGifts(scene, await dead(scene, 30));
    expect((await run(scene, guarded)).counts).toMatchObject({ redriven: 30 });
    scene.advance(30);
    await dieAgain(scene);

    scene.advance(30);
    const open = await run(scene, guarded);
    expect(open).toMatchObject({ outcome: 'again', circuit: { state: 'open' } });
    expect(open.counts).toMatchObject({ redriven: 0, waiting: 30 });
    expect(open.results.every(({ rule }) => rule === 'circuit-breaker')).toBe(true);
    expect((await contents(scene, 'queue')).ready).toEqual([]);

    scene.advance(300);
    expect((await run(scene, guarded)).counts).toMatchObject({ redriven: 0, waiting: 30 });

    scene.advance(301);
    const probing = await run(scene, guarded);
    expect(probing).toMatchObject({ circuit: { state: 'half_open' }, counts: { redriven: 5, waiting: 25 } });
    expect(await run(scene, guarded)).toMatchObject({
      circuit: { state: 'half_open' },
      counts: { redriven: 0, waiting: 25 },
    });

    const probes = probing.results.filter(({ verdict }) => verdict === 'redrive');
    await arrive(what, subjectIdsOf(probes));
    const closed = await run(scene, guarded);
    expect(closed).toMatchObject({
      outcome: 'converged',
      circuit: { state: 'closed' },
      counts: { redriven: 25 },
    });
  });

  test('P42: a probe that dies opens the circuit for another window', async () => {
    const guarded = policy({ circuitBreaker: breaker, limits: { maxRedrives: 100 } });
    await buryGifts(scene, await dead(scene, 20));
    await run(scene, guarded);
    scene.advance(30);
    await dieAgain(scene);
    expect(await run(scene, guarded)).toMatchObject({ circuit: { state: 'open' } });
    scene.advance(601);
    expect(await run(scene, guarded)).toMatchObject({
      circuit: { state: 'half_open' },
      counts: { redriven: 5 },
    });
    scene.advance(30);
    await dieAgain(scene);
    expect(await run(scene, guarded)).toMatchObject({ circuit: { state: 'open' }, counts: { redriven: 0 } });
    scene.advance(300);
    expect(await run(scene, guarded)).toMatchObject({ circuit: { state: 'open' }, counts: { redriven: 0 } });
  });

  test('P42: a run that is still redriving stops when what it has sent comes back', async () => {
    const guarded = policy({ circuitBreaker: breaker, limits: { ratePerSecond: 10 } });
    const ids = await dead(scene, 60);
    await buryGifts(scene, ids);
    let asked = 0;
    const clock = () => {
      asked += 1;
      return new Date(Date.now() + asked * 1_000);
    };
    // Everything dies at once after its redrive, as with a mail server that refuses everything.
    const doomed = { ...scene, deps: { ...scene.deps, openClock: async () => clock } };
    const dying = setInterval(() => {
      void markDead(scene, ids, new Date(Date.now() + 3_600_000));
    }, 5);
    const report = await run(doomed, guarded);
    clearInterval(dying);
    expect(report).toMatchObject({ outcome: 'again', circuit: { state: 'open' } });
    expect(report.counts.redriven).toBeGreaterThanOrEqual(20);
    expect(report.counts.redriven).toBeLessThan(60);
    expect(report.counts.redriven + report.counts.waiting).toBe(60);
    expect((await contents(scene, 'dead-letters')).inFlight).toEqual([]);
  });
});

describe('limits', () => {
  test('P42: the rate of sends holds within 10 % over the run', async () => {
    const ratePerSecond = 50;
    await buryGifts(scene, await deadGifts(scene, 150));
    const startedAt = performance.now();
    const report = await run(scene, policy({ limits: { ratePerSecond } }));
    const seconds = (performance.now() - startedAt) / 1_000;
    expect(report.counts.redriven).toBe(150);
    // Half a second's worth goes at once, the other 125 at 50 per second: never faster.
    expect(seconds).toBeGreaterThanOrEqual(2.45);
  });

  test('maxMessages caps what a run looks at; the runs after it take the rest', async () => {
    const ids = await deadGifts(scene, 50);
    await buryGifts(scene, ids);
    const capped = policy({ limits: { maxMessages: 20 } });
    const first = await run(scene, capped);
    expect(first).toMatchObject({
      outcome: 'again',
      counts: { scanned: 20, redriven: 20, dead_letters: 30 },
    });
    expect((await run(scene, capped)).counts).toMatchObject({ redriven: 20 });
    expect(await run(scene, capped)).toMatchObject({ outcome: 'converged', counts: { redriven: 10 } });
    expect((await contents(scene, 'queue')).ready).toEqual(ids.toSorted());
  });
});

describe('dry run', () => {
  test('P43: sends, deletes and records nothing, and counts what the real run then does', async () => {
    const { db } = scene.database;
    const redriven = await deadGifts(scene, 12);
    const permanent = await deadGifts(scene, 7);
    const settled = await deadGifts(scene, 5);
    const waiting = await deadGifts(scene, 4);
    const stranded = await deadGifts(scene, 3);
    for (const id of settled) await cancel(db, id);
    const longAgo = new Date(Date.now() - 3_600_000);
    await db
      .updateTable('gifts')
      .set({ dead_lettered_at: null, state_changed_at: longAgo })
      .where('id', 'in', [...stranded, ...redriven, ...waiting].map(toUuid))
      .execute();
    await buryGifts(scene, redriven);
    await buryGifts(scene, permanent, { class: 'permanent' });
    await buryGifts(scene, settled);
    await buryGifts(scene, waiting, { class: 'unknown' });
    await bury(scene, [{ body: 'poison' }, giftMessage(redriven[0] ?? 'gft_')]);
    const rules = policy().rules.map((rule) =>
      rule.name === 'transient' ? { ...rule, match: { classes: ['transient' as const] } } : rule,
    );
    const before = await contents(scene, 'dead-letters');
    const requests = (operation: string) => scene.proxy.requests(operation);
    const writes = () => requests('SendMessageBatch') + requests('DeleteMessageBatch');
    const writesBefore = writes();

    const dry = await run(scene, policy({ rules }), { dryRun: true });
    expect(writes()).toBe(writesBefore);
    expect(await contents(scene, 'dead-letters')).toEqual(before);
    expect((await contents(scene, 'queue')).ready).toEqual([]);
    for (const table of ['dead_letters', 'outbox'] as const) {
      expect(await db.selectFrom(table).selectAll().execute()).toEqual([]);
    }
    expect(await db.selectFrom('gifts').select('id').where('state', '=', 'failed').execute()).toEqual([]);
    expect(await db.selectFrom('reconciler_runs').select(['dry_run', 'outcome']).execute()).toEqual([
      { dry_run: true, outcome: 'needs_person' },
    ]);

    const real = await run(scene, policy({ rules }));
    const expected: Partial<RunCounts> = {
      scanned: 30,
      redriven: 13,
      quarantined: 8,
      discarded: 5,
      waiting: 4,
      dead_letters: 4,
      requeued_gifts: 3,
    };
    expect(dry.counts).toMatchObject(expected);
    expect(real.counts).toEqual(dry.counts);
    expect(real.outcome).toBe(dry.outcome);
  });
});

test('receives are no fault of a gift: what SQS moved for them, again and again, waits for a person and is not failed', async () => {
  const ids = await deadGifts(scene, 2);
  await placeGifts(scene.database.db, ids.slice(1).map(toUuid), { failure_class: null, failure_code: null });
  await buryGifts(scene, ids, null);
  const report = await run(scene, policy({ limits: { maxRedrives: 0 } }));
  expect(report).toMatchObject({ outcome: 'needs_person', counts: { quarantined: 0, held_for_person: 2 } });
  const rows = await scene.database.db
    .selectFrom('gifts')
    .select('state')
    .where('id', 'in', ids.map(toUuid))
    .execute();
  expect(rows.map(({ state }) => state)).toEqual(['queued', 'queued']);
});
