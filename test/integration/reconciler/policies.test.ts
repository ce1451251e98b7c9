import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { explainFailure } from '../../../services/reconciler/failures.ts';
import type { FoundPolicy } from '../../../services/reconciler/found-policy.ts';
import type { PolicyStatus } from '../../../services/reconciler/policy-status.ts';
import type { Right } from '../../../services/reconciler/run.ts';
import { runPolicies } from '../../../services/reconciler/run-policies.ts';
import { eventually } from '../../support/eventually.ts';
import { buryGifts, contents, deadGifts, openScene, policy, type Scene } from './setup.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
beforeEach(() => scene.reset());
afterAll(() => scene.close());

type Published = { name: string; status: PolicyStatus };

/** Policies as a cluster gives them, with what is published of them. */
function found(changes: Partial<FoundPolicy> & { name: string }, published: Published[]): FoundPolicy {
  return {
    generation: 1,
    content: { policy: policy() },
    previousStatus: null,
    publish: (status) => {
      published.push({ name: changes.name, status });
      return Promise.resolve();
    },
    follow: () => ({ stopped: new AbortController().signal, end: () => undefined }),
    ...changes,
  };
}

function runAll(policies: FoundPolicy[], more: { dryRun?: boolean; right?: Right; queue?: string } = {}) {
  const { dryRun = false, right, queue = scene.queue.name } = more;
  return runPolicies(scene.deps, policies, {
    queueNames: { gifts: queue },
    dryRun,
    signal: new AbortController().signal,
    ...(right === undefined ? {} : { right }),
    explain: (error) => explainFailure(error, { databaseUrl: '', sqsEndpoint: undefined }),
    clock: scene.now,
    print: null,
  });
}

const conditionOf = (published: Published[], name: string, type: string) =>
  published.find((one) => one.name === name)?.status.conditions.find((condition) => condition.type === type);

describe('policies', () => {
  test('one that can not be used says so in its own status, and the others run', async () => {
    await buryGifts(scene, await deadGifts(scene, 3));
    const published: Published[] = [];
    const broken = { problems: [{ path: 'spec.rules', message: 'is missing' }] };
    const exitCode = await runAll([
      found({ name: 'broken', content: broken }, published),
      found({ name: 'good' }, published),
    ]);
    expect(exitCode).toBe(2);
    expect(conditionOf(published, 'broken', 'Ready')).toMatchObject({ status: 'False', reason: 'Invalid' });
    expect(published[1]).toMatchObject({ name: 'good', status: { lastRun: { redriven: 3 } } });
    expect(scene.log.find(({ fields }) => fields['event'] === 'reconciler_misconfigured')).toMatchObject({
      level: 'error',
      fields: { policy: 'broken' },
    });
  });

  test('one whose run fails says why in its own status, and the others run', async () => {
    await buryGifts(scene, await deadGifts(scene, 2));
    const published: Published[] = [];
    const failing = {
      ...policy(),
      get limits(): never {
        throw new Error('nobody foresaw this');
      },
    };
    const exitCode = await runAll([
      found({ name: 'failing', content: { policy: failing } }, published),
      found({ name: 'good' }, published),
    ]);
    expect(exitCode).toBe(1);
    expect(conditionOf(published, 'failing', 'Succeeded')).toMatchObject({
      status: 'False',
      reason: 'Failed',
    });
    expect(JSON.stringify(published)).not.toContain('nobody foresaw this');
    expect(published[1]?.status.lastRun).toMatchObject({ redriven: 2 });
  });

  test('a queue without a dead-letter queue is for a person, and told in the status', async () => {
    const published: Published[] = [];
    const exitCode = await runAll([found({ name: 'gifts' }, published)], {
      queue: scene.queue.deadLetterName,
    });
    expect(exitCode).toBe(2);
    expect(conditionOf(published, 'gifts', 'Succeeded')).toMatchObject({ reason: 'NoDeadLetterQueue' });
  });

  test('a status that can not be written is told in the log in its stead; what the run did is done', async () => {
    await buryGifts(scene, await deadGifts(scene, 2));
    const exitCode = await runAll([
      found({ name: 'gifts', publish: () => Promise.reject(new Error('the API server is away')) }, []),
    ]);
    expect(exitCode).toBe(1);
    const line = scene.log.find(({ fields }) => fields['event'] === 'status_not_written');
    expect(line?.fields).toMatchObject({ policy: 'gifts', status: { lastRun: { redriven: 2 } } });
    expect((await contents(scene, 'queue')).ready).toHaveLength(2);
  });

  test('with --dry-run no status is written', async () => {
    const published: Published[] = [];
    expect(await runAll([found({ name: 'gifts' }, published)], { dryRun: true })).toBe(0);
    expect(published).toEqual([]);
  });

  test('one that a person stops while its run goes on sends nothing more; the rest is visible again, and it is told', async () => {
    const ids = await deadGifts(scene, 40);
    await buryGifts(scene, ids);
    const published: Published[] = [];
    const stopped = new AbortController();
    const end = jest.fn();
    const running = runAll([
      found(
        {
          name: 'gifts',
          content: { policy: policy({ limits: { ratePerSecond: 20 } }) },
          follow: () => ({ stopped: stopped.signal, end }),
        },
        published,
      ),
    ]);
    await eventually(async () => expect((await contents(scene, 'queue')).ready.length).toBeGreaterThan(0));
    stopped.abort(new Error('the policy was suspended during the run'));
    expect(await running).toBe(1);
    expect(end).toHaveBeenCalledTimes(1);
    const succeeded = conditionOf(published, 'gifts', 'Succeeded');
    expect(succeeded).toMatchObject({ status: 'False', reason: 'TryAgain' });
    expect(succeeded?.message).toContain('stopped early: the policy was suspended during the run');
    const left = await contents(scene, 'dead-letters');
    expect(left.inFlight).toEqual([]);
    expect(left.ready.length + (await contents(scene, 'queue')).ready.length).toBe(40);
  });

  test('P40: without the right to reconcile nothing is sent, although the lease of the queue is ours', async () => {
    await buryGifts(scene, await deadGifts(scene, 5));
    const sends = scene.proxy.requests('SendMessageBatch');
    const right = { lost: new AbortController().signal, isValid: () => false };
    expect(await runAll([found({ name: 'gifts' }, [])], { right })).toBe(1);
    expect(scene.proxy.requests('SendMessageBatch')).toBe(sends);
    expect((await contents(scene, 'dead-letters')).ready).toHaveLength(5);
  });

  test('P40: a right that is lost while messages are being sent ends the run at the next batch, and says why', async () => {
    await buryGifts(scene, await deadGifts(scene, 40));
    const published: Published[] = [];
    const lost = new AbortController();
    const right = { lost: lost.signal, isValid: () => !lost.signal.aborted };
    const slow = { policy: policy({ limits: { ratePerSecond: 20 } }) };
    const running = runAll([found({ name: 'gifts', content: slow }, published)], { right });
    await eventually(async () => expect((await contents(scene, 'queue')).ready.length).toBeGreaterThan(0));
    lost.abort(new Error('the Lease could not be renewed for 20 s'));
    const sends = scene.proxy.requests('SendMessageBatch');
    expect(await running).toBe(1);
    expect(scene.proxy.requests('SendMessageBatch') - sends).toBeLessThanOrEqual(1);
    expect(conditionOf(published, 'gifts', 'Succeeded')?.message).toContain('could not be renewed for 20 s');
  });
});
