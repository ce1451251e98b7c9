import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { fromUuid, type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { logRun } from '../../../services/reconciler/log-run.ts';
import { statusAfter } from '../../../services/reconciler/status.ts';
import { unpark } from '../../../services/reconciler/unpark.ts';
import { htmlError } from '../../support/faults.ts';
import { balances } from '../../support/gifts.ts';
import {
  bury,
  buryGifts,
  contents,
  deadGifts,
  dieAgain,
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

const refused = { class: 'permanent', reason: 'recipient_refused' } as const;
// Audit records of arrivals are for ever: so small a share is exceeded by whatever dies, after any test.
const guarded = policy({ quarantineBreaker: { minSamples: 10, maxRatio: 0.001 } });
const tolerant = policy({ quarantineBreaker: { minSamples: 10, maxRatio: 0.3 } });
const statesOf = async (ids: readonly GiftId[]) => {
  const rows = scene.database.db.selectFrom('gifts').select('state').distinct();
  return (await rows.where('id', 'in', ids.map(toUuid)).execute()).map(({ state }) => state);
};

/** Gifts that arrived within the last minutes, as the audit records tell. */
async function arrived(count: number): Promise<void> {
  await sql`
    insert into audit_records (id, action, actor_kind, subject_kind, subject_id, created_at)
    select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid,
      'gift.delivered', 'consumer', 'gift', gen_random_uuid(), clock_timestamp()
    from generate_series(1, ${count}) n`.execute(scene.database.db);
}

describe('a fault of ours or of a peer is not charged to the items', () => {
  test('when everything is refused for good, no money goes back and a person is asked for', async () => {
    const ids = await deadGifts(scene, 40);
    await buryGifts(scene, ids, refused);
    const before = await balances(scene.database.db, scene.sender);
    const report = await run(scene, guarded);
    expect(report).toMatchObject({
      outcome: 'needs_person',
      quarantine: { state: 'tripped' },
      counts: { quarantined: 0, waiting: 40, held_for_person: 40 },
    });
    expect(await statesOf(ids)).toEqual(['queued']);
    expect(await balances(scene.database.db, scene.sender)).toEqual(before);
    expect((await contents(scene, 'dead-letters')).ready).toEqual(ids.toSorted());

    const status = statusAfter(null, report, null);
    expect(status.conditions.find(({ type }) => type === 'Succeeded')?.reason).toBe('NeedsPerson');
    expect(status.conditions.find(({ type }) => type === 'QuarantineAllowed')).toMatchObject({
      status: 'False',
      reason: 'NeedsPerson',
    });
    await logRun(scene.deps.log, report, status, 'info');
    expect(scene.log.find(({ fields }) => fields['event'] === 'dead_letters_need_person')).toMatchObject({
      level: 'error',
      fields: { marker: '[MONITOR]', messages: 40, quarantine_breaker: 'tripped' },
    });
  });

  test('it stays so over the next runs, though meanwhile much arrives, until a person redrives', async () => {
    const ids = await deadGifts(scene, 12);
    await buryGifts(scene, ids, refused);
    expect((await run(scene, guarded)).counts).toMatchObject({ held_for_person: 12 });
    await arrived(500);
    expect((await run(scene, tolerant)).counts).toMatchObject({ held_for_person: 12, quarantined: 0 });
    const released = await run(scene, guarded, { release: 'redrive' });
    expect(released).toMatchObject({
      quarantine: { state: 'closed' },
      counts: { redriven: 12, quarantined: 0 },
    });
    expect((await contents(scene, 'queue')).ready).toEqual(ids.toSorted());
    expect(await statesOf(ids)).toEqual(['queued']);
  });

  test('a person may as well let them fail: then their money goes back, and those do not trip it again', async () => {
    const ids = await deadGifts(scene, 12);
    await buryGifts(scene, ids, refused);
    await run(scene, guarded);
    const released = await run(scene, guarded, { release: 'quarantine' });
    expect(released).toMatchObject({ quarantine: { state: 'closed' }, counts: { quarantined: 12 } });
    expect(await statesOf(ids)).toEqual(['failed']);
    const more = await deadGifts(scene, 9);
    await buryGifts(scene, more, refused);
    expect((await run(scene, guarded)).counts).toMatchObject({ quarantined: 9, held_for_person: 0 });
  });

  test('the few that die among many that arrive are failed, as they should be', async () => {
    await arrived(100);
    const ids = await deadGifts(scene, 20);
    await buryGifts(scene, ids, refused);
    expect((await run(scene, tolerant)).counts).toMatchObject({ quarantined: 20, held_for_person: 0 });
  });

  test('a dry run tells what the real one would hold, and trips nothing', async () => {
    const ids = await deadGifts(scene, 12);
    await buryGifts(scene, ids, refused);
    const dry = await run(scene, guarded, { dryRun: true });
    const real = await run(scene, guarded);
    expect(dry.counts).toEqual(real.counts);
    expect(dry.quarantine?.state).toBe('tripped');
  });

  test('one that died five seconds ago waits, by the database clock, whatever the pod says', async () => {
    const ids = await deadGifts(scene, 3);
    await buryGifts(scene, ids, refused);
    const patient = policy({ limits: { quarantineMinAgeSeconds: 600 } });
    expect(await run(scene, patient)).toMatchObject({
      outcome: 'converged',
      counts: { quarantined: 0, waiting: 3 },
    });
    scene.advance(590);
    expect((await run(scene, patient)).counts).toMatchObject({ quarantined: 0, waiting: 3 });
    scene.advance(11);
    expect((await run(scene, patient)).counts).toMatchObject({ quarantined: 3 });
  });

  test('at maxRedrives, what died of the mail server waits for a person instead of failing', async () => {
    const ids = await deadGifts(scene, 2);
    await buryGifts(scene, ids);
    const once = policy({ limits: { maxRedrives: 1 } });
    await run(scene, once);
    await dieAgain(scene);
    scene.advance(60);
    const stuck = await run(scene, once);
    expect(stuck).toMatchObject({ outcome: 'needs_person', counts: { held_for_person: 2, quarantined: 0 } });
    expect((await run(scene, once, { release: 'redrive' })).counts).toMatchObject({ redriven: 2 });
    await dieAgain(scene);
    scene.advance(60);
    // A release begins anew: what went before is not counted any more.
    expect((await run(scene, once)).results.map(({ letter }) => letter.redrives)).toEqual([1, 1]);
  });
});

describe('the circuit', () => {
  test('healthy gifts survive any number of probes and openings: none of their redrives is counted', async () => {
    const breaker = { windowSeconds: 600, maxFailureRatio: 0.5, minSamples: 20 };
    const strict = policy({ circuitBreaker: breaker, limits: { maxRedrives: 1 } });
    const full = { class: 'transient', reason: 'mailbox_unavailable' } as const;
    const ids = await deadGifts(scene, 20);
    await buryGifts(scene, ids, full);
    expect((await run(scene, strict)).counts).toMatchObject({ redriven: 20 });
    scene.advance(30);
    await dieAgain(scene, full);
    expect(await run(scene, strict)).toMatchObject({
      circuit: { state: 'open' },
      counts: { quarantined: 0 },
    });
    for (let window = 0; window < 3; window += 1) {
      scene.advance(601);
      const probing = await run(scene, strict);
      expect(probing).toMatchObject({
        circuit: { state: 'half_open' },
        counts: { redriven: 5, quarantined: 0 },
      });
      scene.advance(30);
      await dieAgain(scene, full);
      expect(await run(scene, strict)).toMatchObject({
        circuit: { state: 'open' },
        counts: { quarantined: 0 },
      });
    }
    expect(await statesOf(ids)).toEqual(['queued']);
    const last = await run(scene, strict, { dryRun: true });
    expect(last.results.every(({ letter }) => letter.redrives === 0)).toBe(true);
  });
});

describe('what is parked', () => {
  test('is counted until a person sends it again, which a command does, once', async () => {
    await bury(scene, [{ body: 'unreadable' }]);
    expect((await run(scene)).counts).toMatchObject({ quarantined: 1, parked: 1 });
    expect((await run(scene)).counts).toMatchObject({ quarantined: 0, parked: 1 });
    const { db } = scene.database;
    const [row] = await db.selectFrom('dead_letters').select('id').execute();
    const id = fromUuid('ddl', row?.id ?? '');
    expect(await unpark(scene.deps, id, 'largesse-gifts')).toBe(0);
    expect(await unpark(scene.deps, id, 'largesse-gifts')).toBe(2);
    expect(await unpark(scene.deps, 'no id', 'largesse-gifts')).toBe(2);
    expect(await db.selectFrom('outbox').select(['queue', 'body']).execute()).toEqual([
      { queue: 'largesse-gifts', body: 'unreadable' },
    ]);
    expect((await run(scene)).counts).toMatchObject({ parked: 0 });
  });
});

describe('the optional is not required', () => {
  test('a queue service that answers ListMessageMoveTasks with a page of HTML is redriven all the same, and it is said', async () => {
    const ids = await deadGifts(scene, 3);
    await buryGifts(scene, ids);
    scene.proxy.inject({ operation: 'ListMessageMoveTasks', fault: htmlError(500) });
    const report = await run(scene);
    expect(report).toMatchObject({ outcome: 'converged', moveTasks: 'unknown', counts: { redriven: 3 } });
    const condition = statusAfter(null, report, null).conditions.find(
      ({ type }) => type === 'MoveTasksListed',
    );
    expect(condition).toMatchObject({ status: 'False', reason: 'NotSupported' });
    expect(scene.log.filter(({ fields }) => fields['event'] === 'move_tasks_not_listed')).toHaveLength(1);
  });
});
