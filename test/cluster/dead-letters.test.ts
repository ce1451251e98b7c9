import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { type Api, openApi } from './support/api.ts';
import { installSurroundings, upgrade } from './support/installation.ts';
import { createNamespace, type Namespace } from './support/namespace.ts';

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

  let runs = 0;
  /** Whatever its exit code says: its status tells more. */
  async function reconcile(): Promise<void> {
    runs += 1;
    const job = `by-hand-${runs}`;
    await namespace.kubectl('create', 'job', job, '--from=cronjob/largesse-reconciler');
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
