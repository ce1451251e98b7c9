import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { newUuid } from '../../../services/domain/ids.ts';
import { explainFailure } from '../../../services/reconciler/failures.ts';
import type { Access } from '../../../services/reconciler/kubernetes/access.ts';
import type { PolicyStatus } from '../../../services/reconciler/policy-status.ts';
import { runInCluster } from '../../../services/reconciler/run-in-cluster.ts';
import { buryGifts, contents, deadGifts, openScene, type Scene } from '../../integration/reconciler/setup.ts';
import { eventually } from '../../support/eventually.ts';
import globalSetup from '../../support/global-setup.ts';
import globalTeardown from '../../support/global-teardown.ts';
import { createNamespace, type Namespace } from '../support/namespace.ts';
import { accessTo, installDefinition, type PolicyDocument, policyNamed } from '../support/policies.ts';
import { type Wire, wireTo } from '../support/wire.ts';

/** The reconciler beside a real API server, PostgreSQL and an SQS emulator. */
let namespace: Namespace;
let access: Access;
let wire: Wire;
let scene: Scene;
beforeAll(async () => {
  await globalSetup();
  scene = await openScene();
  await installDefinition();
  namespace = await createNamespace('largesse-run');
  access = await accessTo(namespace);
  wire = await wireTo(access);
});
beforeEach(() => scene.reset());
afterEach(async () => {
  wire.mend();
  for (const kind of ['dlp', 'leases', 'events']) await namespace.kubectl('delete', kind, '--all');
});
afterAll(async () => {
  await wire?.close();
  await namespace?.remove();
  await scene?.close();
  await globalTeardown();
});

/** Shorter than in production, in the same proportions. */
const times = { durationSeconds: 6, holdSeconds: 4, renewSeconds: 1, beatenSeconds: 0.5 };

type Options = { leaseName?: string; selector?: string; policyWaitSeconds?: number };

/** One process, so to speak. @returns its exit code */
function reconciler(way: Access = access, options: Options = {}): Promise<number> {
  const { signal } = new AbortController();
  const log = scene.deps.log;
  const cluster = {
    access: way,
    leaseName: 'largesse-reconciler',
    selector: undefined,
    policyWaitSeconds: 0,
    runId: newUuid(),
    log,
    signal,
    times,
    ...options,
  };
  return runInCluster(scene.deps, cluster, {
    queueNames: { gifts: scene.queue.name },
    dryRun: false,
    signal,
    explain: (error) => explainFailure(error, { databaseUrl: '', sqsEndpoint: undefined }),
    clock: () => new Date(),
    print: null,
  });
}

/** Everything is redriven at once, or slowly enough to do something meanwhile. */
function gifts(changes: object = {}, ratePerSecond = 10_000) {
  return policyNamed('gifts', ({ spec }: PolicyDocument) =>
    Object.assign(spec, {
      limits: { ratePerSecond },
      rules: [{ name: 'all', match: {}, verdict: 'redrive' }],
      ...changes,
    }),
  );
}

type Stored = { metadata: { generation: number }; spec: object; status: PolicyStatus };
const stored = (name = 'gifts') => namespace.get<Stored>('dlp', name);
const conditionOf = ({ status }: Stored, wanted: string) =>
  status.conditions.find(({ type }) => type === wanted);
const patch = (change: object) =>
  namespace.kubectl('patch', 'dlp', 'gifts', '--type=merge', `--patch=${JSON.stringify(change)}`);
const logged = (event: string) => scene.log.filter(({ fields }) => fields['event'] === event);

async function dead(count: number): Promise<string[]> {
  const ids = await deadGifts(scene, count);
  await buryGifts(scene, ids);
  return ids.toSorted();
}
const begun = () =>
  eventually(async () => expect((await contents(scene, 'queue')).ready.length).toBeGreaterThan(0));

/** Nothing is lost, nothing is there twice, nothing is left in flight. */
async function isWhole(ids: string[]): Promise<void> {
  const [sent, left] = [await contents(scene, 'queue'), await contents(scene, 'dead-letters')];
  expect(left.inFlight).toEqual([]);
  expect([...sent.ready, ...left.ready].toSorted()).toEqual(ids);
}

describe('a run in a cluster', () => {
  test('redrives what its policy says, and kubectl shows what it did', async () => {
    const ids = await dead(12);
    await namespace.apply([gifts()]);
    expect(await reconciler()).toBe(0);
    expect((await contents(scene, 'queue')).ready).toEqual(ids);
    const [, row] = (await namespace.kubectl('get', 'dlp')).split('\n');
    expect(row).toMatch(/^gifts +True +0 +12 +0 +\d+s +\d+s$/);
    expect(await stored()).toMatchObject({
      status: {
        observedGeneration: 1,
        lastRun: { scanned: 12, redriven: 12, dryRun: false },
        deadLetters: 0,
      },
    });
    expect(await namespace.kubectl('describe', 'dlp', 'gifts')).toMatch(/Normal +PolicyAccepted/);
  });

  test('tells Events for changes alone: a second run that finds the same makes none', async () => {
    await namespace.apply([gifts()]);
    await reconciler();
    const events = () => namespace.get<{ items: unknown[] }>('events');
    const { items } = await events();
    const { status } = await stored();
    await reconciler();
    expect((await events()).items).toHaveLength(items.length);
    const again = await stored();
    expect(again.status.lastRun?.finishedAt).not.toBe(status.lastRun?.finishedAt);
    for (const condition of status.conditions)
      expect(conditionOf(again, condition.type)?.lastTransitionTime).toBe(condition.lastTransitionTime);
  });

  test('spec.dryRun: nothing is moved, the counts are those of the run that follows', async () => {
    const ids = await dead(4);
    await namespace.apply([gifts({ dryRun: true })]);
    expect(await reconciler()).toBe(0);
    expect((await contents(scene, 'dead-letters')).ready).toEqual(ids);
    expect(await stored()).toMatchObject({
      status: { lastRun: { redriven: 4, dryRun: true }, deadLetters: 4 },
    });
    await patch({ spec: { dryRun: false } });
    expect(await reconciler()).toBe(0);
    expect(await stored()).toMatchObject({
      status: { lastRun: { redriven: 4, dryRun: false }, deadLetters: 0 },
    });
  });

  test('spec.suspend: nothing is looked at, the status says so, and resuming goes on', async () => {
    const ids = await dead(3);
    await namespace.apply([gifts({ suspend: true })]);
    expect(await reconciler()).toBe(0);
    expect(conditionOf(await stored(), 'Ready')).toMatchObject({ status: 'False', reason: 'Suspended' });
    expect((await contents(scene, 'dead-letters')).ready).toEqual(ids);
    await patch({ spec: { suspend: false } });
    expect(await reconciler()).toBe(0);
    expect(await stored()).toMatchObject({ status: { observedGeneration: 2, lastRun: { redriven: 3 } } });
  });

  test.each<[string, () => Promise<unknown>]>([
    ['suspended', () => patch({ spec: { suspend: true } })],
    ['deleted', () => namespace.kubectl('delete', 'dlp', 'gifts')],
  ])(
    'stops at its next batch when its policy is %s meanwhile; nothing is lost or sent twice',
    async (what, act) => {
      const ids = await dead(60);
      await namespace.apply([gifts({}, 5)]);
      const running = reconciler();
      await begun();
      await act();
      expect(await running).toBe(1);
      await isWhole(ids);
      expect((await contents(scene, 'dead-letters')).ready.length).toBeGreaterThan(0);
      const [run] = logged('reconciler_run');
      expect(run?.fields['reasons']).toContain(`stopped early: the policy was ${what} during the run`);
      if (what === 'deleted') expect(logged('status_left_out')).toHaveLength(1);
      else expect(conditionOf(await stored(), 'Succeeded')?.message).toContain('suspended during the run');
    },
  );

  test('P44 P45: an edit meanwhile is for the next run; the status tells which generation it is about', async () => {
    const ids = await dead(15);
    await namespace.apply([gifts({}, 10)]);
    const running = reconciler();
    await begun();
    await patch({ spec: { limits: { ratePerSecond: 77 } }, metadata: { labels: { by: 'hand' } } });
    expect(await running).toBe(0);
    expect((await contents(scene, 'queue')).ready).toEqual(ids);
    expect(await stored()).toMatchObject({
      metadata: { generation: 2, labels: { by: 'hand' } },
      spec: { limits: { ratePerSecond: 77 } },
      status: { observedGeneration: 1, lastRun: { redriven: 15 } },
    });
  });

  test('P40: of two at once one works, and the other names it and touches nothing', async () => {
    const ids = await dead(30);
    await namespace.apply([gifts({}, 10)]);
    const first = reconciler();
    await begun();
    expect(await reconciler()).toBe(1);
    expect(logged('lease_held')).toHaveLength(1);
    expect(await first).toBe(0);
    expect((await contents(scene, 'queue')).ready).toEqual(ids);
    expect(logged('reconciler_run')).toHaveLength(1);
  });

  test('an API server that is away for a moment: the run goes on, and its status is written', async () => {
    const ids = await dead(30);
    await namespace.apply([gifts({}, 10)]);
    const running = reconciler(wire.access);
    await begun();
    wire.cut('ends');
    await eventually(() => expect(logged('lease_not_renewed').length).toBeGreaterThan(0));
    wire.mend();
    expect(await running).toBe(0);
    expect((await contents(scene, 'queue')).ready).toEqual(ids);
    expect(await stored()).toMatchObject({ status: { lastRun: { redriven: 30 } } });
  });

  test('P40: an API server that is away for longer: the run ends at its next batch, half-done is nothing, the log has the status, the next run goes on', async () => {
    const ids = await dead(60);
    await namespace.apply([gifts({}, 5)]);
    const running = reconciler(wire.access);
    await begun();
    wire.cut('ends');
    expect(await running).toBe(1);
    await isWhole(ids);
    const [line] = logged('status_not_written');
    expect(JSON.stringify(line?.fields['status'])).toContain('the Lease could not be renewed for 4 s');
    expect((await stored()).status).toBeUndefined();
    wire.mend();
    await patch({ spec: { limits: { ratePerSecond: 1_000 } } });
    expect(await reconciler()).toBe(0);
    expect((await contents(scene, 'queue')).ready).toEqual(ids);
  });

  test('of two policies for one queue the older is in force, and the other one says so', async () => {
    await dead(3);
    await namespace.apply([gifts()]);
    await namespace.apply([{ ...gifts(), metadata: { name: 'later' } }]);
    expect(await reconciler()).toBe(2);
    expect(await stored()).toMatchObject({ status: { lastRun: { redriven: 3 } } });
    expect(conditionOf(await stored('later'), 'Ready')).toMatchObject({
      status: 'False',
      reason: 'Invalid',
      message: 'spec.queue: "gifts" has policy gifts already; keep one of them',
    });
  });

  test('a run that comes before the policies of its installation waits for them', async () => {
    const ids = await dead(3);
    const early = reconciler(access, { policyWaitSeconds: 60 });
    await eventually(async () => expect(await namespace.kubectl('get', 'leases')).toContain('reconciler'));
    await namespace.apply([gifts()]);
    expect(await early).toBe(0);
    expect((await contents(scene, 'queue')).ready).toEqual(ids);
    expect(logged('no_policies')).toEqual([]);
  });

  test('P40: of two installations in a namespace each goes by its own policies, under its own Lease, while the other works', async () => {
    const ids = await dead(20);
    const of = (instance: string, changes: object) => ({
      ...gifts(changes, 10),
      metadata: { name: instance, labels: { 'app.kubernetes.io/instance': instance } },
    });
    await namespace.apply([of('one', {}), of('other', { suspend: true })]);
    const installation = (name: string) =>
      reconciler(access, { leaseName: name, selector: `app.kubernetes.io/instance=${name}` });
    const one = installation('one');
    await begun();
    expect(await installation('other')).toBe(0);
    expect(await one).toBe(0);
    expect((await contents(scene, 'queue')).ready).toEqual(ids);
    expect(await stored('one')).toMatchObject({ status: { lastRun: { redriven: 20 } } });
    expect(conditionOf(await stored('other'), 'Ready')).toMatchObject({ reason: 'Suspended' });
    expect(logged('lease_held')).toEqual([]);
  });

  test('a namespace without a policy is told: nobody looks at its dead letters', async () => {
    expect(await reconciler()).toBe(2);
    expect(logged('no_policies')).toHaveLength(1);
  });
});
