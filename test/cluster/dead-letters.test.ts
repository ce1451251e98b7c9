import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { type Api, openApi, reachApi } from './support/api.ts';
import { restartApiServer } from './support/api-server.ts';
import { installSurroundings, upgrade } from './support/installation.ts';
import { allArrive, startLoad } from './support/load.ts';
import { createNamespace, type Namespace } from './support/namespace.ts';
import { createSender } from './support/sender.ts';

const patient = { timeoutMs: 240_000, intervalMs: 1_000 };
const POLICY = 'largesse-gifts';

type Status = {
  deadLetters: number;
  lastRun: { dryRun: boolean; scanned: number; redriven: number };
  conditions: { type: string; status: string }[];
};

/** As an operator goes about it, with kubectl alone. */
describe('the mail server is away, and gifts end in the dead-letter queue', () => {
  let namespace: Namespace;
  let api: Api;

  beforeAll(async () => {
    namespace = await createNamespace('largesse-dead');
    await installSurroundings(namespace);
    await upgrade(namespace, [
      // A run by hand is then the only one.
      'reconciler.suspend=true',
      // Gifts give up soon instead of waiting for the mail server.
      'settings.MAX_RETRY_COUNT=1',
      'consumers.gifts.settings.MAIL_PAUSE=off',
      'consumers.gifts.settings.RETRY_BASE_MS=100',
    ]);
    const soon = [{ op: 'replace', path: '/spec/rules/2/match/minAge', value: '1s' }];
    await namespace.kubectl('patch', 'dlp', POLICY, '--type=json', '--patch', JSON.stringify(soon));
    api = await openApi(namespace);
    await namespace.kubectl('scale', 'deployment/mail', '--replicas=0');
    for (const name of ['ada', 'grace', 'edsger']) await api.send(`${name}@example.com`);
  });
  afterAll(async () => {
    await api?.close();
    await namespace.remove();
  });

  test('a dry run by hand shows what a run would do, and does nothing', async () => {
    await patch({ dryRun: true });
    // The last of them may have just arrived, and be too young for its rule.
    await eventually(async () => {
      await reconcile();
      expect(await status()).toMatchObject({
        deadLetters: 3,
        lastRun: { dryRun: true, scanned: 3, redriven: 3 },
      });
    }, patient);
    expect(await namespace.kubectl('get', 'dlp')).toMatch(
      /READY\s+DEAD\s+REDRIVEN\s+QUARANTINED\s+LAST RUN\s+AGE/,
    );
    expect(await api.states()).toEqual(['queued', 'queued', 'queued']);
  });

  test('the mail server is back: a run redrives them, and each arrives', async () => {
    await namespace.kubectl('scale', 'deployment/mail', '--replicas=1');
    await namespace.kubectl('rollout', 'status', 'deployment/mail', '--timeout=120s');
    await patch({ dryRun: false });
    await reconcile();
    expect((await status()).lastRun).toMatchObject({ dryRun: false, redriven: 3 });
    await eventually(
      async () => expect(await api.states()).toEqual(['delivered', 'delivered', 'delivered']),
      patient,
    );
    await reconcile();
    const { deadLetters, conditions } = await status();
    expect(deadLetters).toBe(0);
    expect(conditions).toContainEqual(expect.objectContaining({ type: 'Succeeded', status: 'True' }));
    expect(await api.ask('/v1/ledger/invariants')).toMatchObject({ ok: true });
  });

  test('P40: a second run at once touches nothing; the API server is killed amid the first: gifts go on, none is lost or doubled', async () => {
    const late = 20;
    await namespace.kubectl('scale', 'deployment/mail', '--replicas=0');
    for (let gift = 0; gift < late; gift += 1) await api.send(`late-${gift}@example.com`);
    await eventually(async () => expect(await inDeadLetterQueue()).toBe(late), patient);
    await namespace.kubectl('scale', 'deployment/mail', '--replicas=1');
    await namespace.kubectl('rollout', 'status', 'deployment/mail', '--timeout=120s');
    await patch({ limits: { ratePerSecond: 1 } });
    const first = await begin();
    await eventually(async () => expect(await inDeadLetterQueue()).toBeLessThan(late), patient);
    const second = await begin();
    await ended(second);
    expect(await namespace.kubectl('logs', `job/${second}`)).toContain('lease_held');

    const { key } = await createSender(namespace, 1_000_000);
    const stopLoad = await startLoad(namespace, key, { name: 'meanwhile' });
    if (!(await restartApiServer()))
      process.stderr.write('NOT RUN: the API server of this cluster is not ours to restart\n');
    await ended(first);
    const { accepted, failures } = await stopLoad();
    expect(failures).toEqual([]);
    await allArrive(namespace, key, { name: 'meanwhile', accepted });

    // Ways of before led through the API server of before.
    await api.close();
    api = await reachApi(namespace, api.key);
    await patch({ limits: { ratePerSecond: 200 } });
    await eventually(async () => {
      await reconcile();
      expect((await status()).deadLetters).toBe(0);
    }, patient);
    await eventually(async () => {
      const states = await api.states();
      expect(states.filter((state) => state === 'delivered')).toHaveLength(3 + late);
    }, patient);
    expect(await api.ask('/v1/ledger/invariants')).toMatchObject({ ok: true });
  });

  async function inDeadLetterQueue(): Promise<number | undefined> {
    type Queues = { data: { dead_letters: { messages: { visible: number } | null } }[] };
    return (await api.ask<Queues>('/v1/queues')).data[0]?.dead_letters.messages?.visible;
  }

  /** Whatever its exit code says: its status tells more. */
  async function reconcile(): Promise<void> {
    await ended(await begin());
  }

  let runs = 0;
  /** @returns the name of its Job */
  async function begin(): Promise<string> {
    runs += 1;
    const job = `by-hand-${runs}`;
    await namespace.kubectl('create', 'job', job, '--from=cronjob/largesse-reconciler');
    return job;
  }

  async function ended(job: string): Promise<void> {
    await eventually(async () => {
      const { status: state } = await namespace.get<{ status: { succeeded?: number; failed?: number } }>(
        'job',
        job,
      );
      expect((state.succeeded ?? 0) + (state.failed ?? 0)).toBe(1);
    }, patient);
  }

  function patch(spec: object): Promise<string> {
    return namespace.kubectl('patch', 'dlp', POLICY, '--type=merge', '--patch', JSON.stringify({ spec }));
  }

  async function status(): Promise<Status> {
    return (await namespace.get<{ status: Status }>('dlp', POLICY)).status;
  }
});
