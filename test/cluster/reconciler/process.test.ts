import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { buryGifts, contents, deadGifts, openScene, type Scene } from '../../integration/reconciler/setup.ts';
import { eventually } from '../../support/eventually.ts';
import globalSetup from '../../support/global-setup.ts';
import globalTeardown from '../../support/global-teardown.ts';
import { killRoles, startRole } from '../../support/role-process.ts';
import { helm, run } from '../support/command.ts';
import { createNamespace, type Namespace } from '../support/namespace.ts';
import { installDefinition, type PolicyDocument, policyNamed } from '../support/policies.ts';

/** The program itself, with the times of production, beside a real API server. */
let namespace: Namespace;
let scene: Scene;
let folder: string;
beforeAll(async () => {
  await globalSetup();
  scene = await openScene();
  await installDefinition();
  namespace = await createNamespace('largesse-process');
  folder = await mkdtemp(join(tmpdir(), 'largesse-kubeconfig-'));
});
beforeEach(() => scene.reset());
afterEach(async () => {
  await killRoles();
  for (const kind of ['dlp', 'leases']) await namespace.kubectl('delete', kind, '--all');
});
afterAll(async () => {
  await namespace?.remove();
  await scene?.close();
  await globalTeardown();
  await rm(folder, { recursive: true, force: true });
});

/** The kubeconfig of this test, in its namespace; `as`: with the rights of that account alone. */
async function kubeconfig(as?: string): Promise<string> {
  const path = join(folder, as === undefined ? 'config' : 'as-account');
  const view = ['config', 'view', '--raw', '--minify', '--flatten', '--output=json'];
  const config = JSON.parse(await run('kubectl', view)) as Kubeconfig;
  for (const { context } of config.contexts) context.namespace = namespace.name;
  for (const { user } of config.users) if (as !== undefined) user.as = as;
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
type Kubeconfig = { contexts: { context: { namespace?: string } }[]; users: { user: { as?: string } }[] };

async function reconciler(env: Record<string, string> = {}) {
  return startRole('reconciler', [], {
    DATABASE_URL: scene.database.url,
    AWS_REGION: scene.emulator.region,
    AWS_ENDPOINT_URL_SQS: scene.emulator.endpoint,
    AWS_ACCESS_KEY_ID: 'x',
    AWS_SECRET_ACCESS_KEY: 'x',
    GIFTS_QUEUE_NAME: scene.queue.name,
    DEAD_LETTER_POLICY_SOURCE: 'kubernetes',
    KUBECONFIG: await kubeconfig(),
    DEAD_LETTER_POLICY_WAIT_SECONDS: '1',
    ...env,
  });
}

function gifts(ratePerSecond: number) {
  return policyNamed('gifts', ({ spec }: PolicyDocument) =>
    Object.assign(spec, {
      limits: { ratePerSecond },
      rules: [{ name: 'all', match: {}, verdict: 'redrive' }],
    }),
  );
}

async function dead(count: number): Promise<string[]> {
  const ids = await deadGifts(scene, count);
  await buryGifts(scene, ids);
  return ids.toSorted();
}
const sent = async () => (await contents(scene, 'queue')).ready;
const begun = () =>
  eventually(async () => expect((await sent()).length).toBeGreaterThan(0), { timeoutMs: 30_000 });

type Lease = { spec: { holderIdentity?: string; leaseTransitions: number } };
type Stored = { status?: { lastRun: { redriven: number }; conditions: { type: string; message: string }[] } };

describe('the reconciler', () => {
  test('P40: frozen for longer than its Lease lasts, it sends nothing more and leaves the status to the run after it', async () => {
    const ids = await dead(60);
    await namespace.apply([gifts(5)]);
    const frozen = await reconciler();
    await begun();
    frozen.freeze();
    await namespace.apply([gifts(10_000)]);
    const before = await namespace.get<Lease>('lease', 'largesse-reconciler');
    // Its Lease is free after 30 s, and the lease of the queue in PostgreSQL after 60 s.
    await eventually(async () => expect(await (await reconciler()).ended).toBe(0), { timeoutMs: 120_000 });
    // What the frozen run has received is hidden for two minutes: nobody can have it meanwhile.
    const sentBefore = await sent();
    const after = await namespace.get<Lease>('lease', 'largesse-reconciler');
    expect(after.spec.leaseTransitions).toBeGreaterThan(before.spec.leaseTransitions);
    const { status } = await namespace.get<Stored>('dlp', 'gifts');

    frozen.thaw();
    expect(await frozen.ended).toBe(1);
    expect(await sent()).toEqual(sentBefore);
    const left = await contents(scene, 'dead-letters');
    expect([...left.ready, ...left.inFlight, ...sentBefore].toSorted()).toEqual(ids);
    expect((await namespace.get<Stored>('dlp', 'gifts')).status).toEqual(status);
    expect(frozen.lines()).toContainEqual(expect.objectContaining({ event: 'status_left_out' }));
  });

  test('does all of its work with the rights that the chart gives it', async () => {
    const chart = [
      'template',
      'largesse',
      'charts/largesse',
      '--values',
      'charts/largesse/ci/minimal-values.yaml',
    ];
    const only = ['--namespace', namespace.name, '--show-only', 'templates/reconciler/role.yaml'];
    const apply = ['--namespace', namespace.name, 'apply', '--filename', '-'];
    await run('kubectl', apply, await helm(...chart, ...only));
    const ids = await dead(3);
    await namespace.apply([gifts(100)]);
    const account = `system:serviceaccount:${namespace.name}:largesse-reconciler`;
    for (const _run of ['makes the Lease', 'takes it again']) {
      const bound = await reconciler({ KUBECONFIG: await kubeconfig(account) });
      const exitCode = await bound.ended;
      expect(bound.lines().filter(({ level }) => level !== 'info')).toEqual([]);
      expect(exitCode).toBe(0);
    }
    expect(await sent()).toEqual(ids);
    const { status } = await namespace.get<Stored>('dlp', 'gifts');
    expect(status?.conditions.map(({ type }) => type)).toContain('Succeeded');
    const { items } = await namespace.get<{ items: object[] }>('events');
    expect(items).toContainEqual(expect.objectContaining({ reason: 'PolicyAccepted' }));

    const stranger = await reconciler({ KUBECONFIG: await kubeconfig(`${account}-of-others`) });
    expect(await stranger.ended).toBe(2);
    const line = stranger.lines().find(({ event }) => event === 'kubernetes_refused');
    expect(line?.['msg']).toContain('the account of the reconciler lacks a permission');
  });

  test('told to stop, it ends at its next batch, tells the status and gives the Lease back', async () => {
    const ids = await dead(60);
    await namespace.apply([gifts(5)]);
    const stopped = await reconciler();
    await begun();
    await stopped.stop();
    const { status } = await namespace.get<Stored>('dlp', 'gifts');
    const succeeded = status?.conditions.find(({ type }) => type === 'Succeeded');
    expect(succeeded?.message).toContain('stopped early: shutting down: SIGTERM');
    const { spec } = await namespace.get<Lease>('lease', 'largesse-reconciler');
    expect(spec).not.toHaveProperty('holderIdentity');
    const left = await contents(scene, 'dead-letters');
    expect([...left.ready, ...(await sent())].toSorted()).toEqual(ids);
    expect(left.inFlight).toEqual([]);
  });

  test.each<[string, Record<string, string>, string, string]>([
    [
      'a kubeconfig that is not there',
      { KUBECONFIG: '/nowhere' },
      'kubernetes_refused',
      "KUBECONFIG: /nowhere can't be used (ENOENT)",
    ],
    [
      'neither pod nor kubeconfig',
      { KUBECONFIG: '' },
      'kubernetes_refused',
      'there is no way to an API server',
    ],
    [
      'a pod without an account',
      { KUBECONFIG: '', KUBERNETES_SERVICE_HOST: '127.0.0.1' },
      'kubernetes_refused',
      'automountServiceAccountToken',
    ],
    ['no policy', {}, 'no_policies', 'there is no DeadLetterPolicy in namespace largesse-process'],
    [
      'no policy of its selector',
      { DEAD_LETTER_POLICY_SELECTOR: 'app=other' },
      'no_policies',
      'there is no DeadLetterPolicy in namespace largesse-process',
    ],
  ])('is for a person with %s, and says so', async (_what, env, event, sentence) => {
    const asked = await reconciler(env);
    expect(await asked.ended).toBe(2);
    const line = asked.lines().find((one) => one['event'] === event);
    expect(line?.['msg']).toContain(sentence);
  });
});
