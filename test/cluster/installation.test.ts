import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseDocument } from 'yaml';
import { secret } from '../../scripts/cluster/secrets.ts';
import { type ColdStarts, coldStartScript, describeColdStarts } from '../support/cold-starts.ts';
import { eventually } from '../support/eventually.ts';
import { type Api, openApi } from './support/api.ts';
import { helm, run } from './support/command.ts';
import { CHART, installSurroundings, upgradeAll } from './support/installation.ts';
import { type Mails, openMails } from './support/mail.ts';
import { createNamespace, type Namespace } from './support/namespace.ts';
import { POLICIES } from './support/policies.ts';
import { type ReplicaWatch, watchReplicas } from './support/replicas.ts';
import { createSender } from './support/sender.ts';

const CONSUMER = 'largesse-consumer-gifts';
const patient = { timeoutMs: 240_000, intervalMs: 1_000 };

/** In the order of an installation's life; each step stands on those before. */
describe('an installation, from nothing to nothing', () => {
  let namespace: Namespace;
  let api: Api;
  let mails: Mails;
  let consumers: ReplicaWatch;

  beforeAll(async () => {
    await run('kubectl', ['delete', 'crd', POLICIES, '--ignore-not-found', '--timeout=60s']);
    namespace = await createNamespace('largesse-life');
    await installSurroundings(namespace);
  });
  afterAll(async () => {
    await Promise.all([api?.close(), mails?.close(), consumers?.close()]);
    await namespace.remove();
  });

  test('P63 P68: helm install into an empty namespace that enforces the restricted standard', async () => {
    // One mail at a time per pod, so that a thousand gifts last until the second pod is there.
    await upgradeAll(namespace, ['consumers.gifts.settings.SMTP_MAX_CONNECTIONS=1']);
    [api, mails] = await Promise.all([openApi(namespace), openMails(namespace)]);
  });

  test('a role starts with what V8 compiled when the image was built; what that costs is printed', async () => {
    const inPod = (...args: string[]) =>
      namespace.kubectl('exec', 'deployment/largesse-api', '--', 'node', ...args);
    const starts = JSON.parse(await inPod('--input-type=module', '--eval', coldStartScript)) as ColdStarts;
    process.stderr.write(`cold starts in a pod:\n${describeColdStarts(starts)}\n`);
    const found = "process.stdout.write(String(require('node:module').getCompileCacheDir()))";
    if ((await inPod('--eval', found)) === 'undefined')
      process.stderr.write(
        'NOT RUN: the processor of this node has other features than that of the builder\n',
      );
    else expect(starts['reconciler']?.memoryMib).toBeLessThan(80);
  });

  test('P27: an empty queue has no consumer', async () => {
    await eventually(async () => expect(await consumerPods()).toEqual([]), patient);
  });

  test('a gift starts the first consumer, and is mailed', async () => {
    const gift = await api.send('ada@example.com');
    expect(gift.state).toBe('queued');
    await eventually(async () => expect(await mails.recipients()).toEqual(['ada@example.com']), patient);
    await eventually(async () => expect(await api.states()).toEqual(['delivered']), patient);
  });

  test('the reconciler goes by the policy that the chart made, and says so in its status', async () => {
    await eventually(async () => {
      const [name, ready] = (await namespace.kubectl('get', 'dlp', '--no-headers')).split(/\s+/);
      expect([name, ready]).toEqual(['largesse-gifts', 'True']);
    }, patient);
  });

  test('P44: what somebody changed of a policy outlives an upgrade', async () => {
    const rules = [{ name: 'mine', match: { classes: ['poison'] }, verdict: 'quarantine' }];
    const change = JSON.stringify({ spec: { rules } });
    await namespace.kubectl('patch', 'dlp', 'largesse-gifts', '--type=merge', '--patch', change);
    await upgradeAll(namespace, ['consumers.gifts.settings.SMTP_MAX_CONNECTIONS=1']);
    const { spec } = await namespace.get<{ spec: { rules: object[] } }>('dlp', 'largesse-gifts');
    expect(spec.rules).toEqual(rules);
  });

  test('P61: helm upgrade brings a field that the definition did not have', async () => {
    const chart = join(mkdtempSync(join(tmpdir(), 'largesse-chart-')), 'largesse');
    cpSync(CHART, chart, { recursive: true });
    const file = join(chart, 'files', `${POLICIES}.yaml`);
    const definition = parseDocument(readFileSync(file, 'utf8'));
    const spec = ['spec', 'versions', 0, 'schema', 'openAPIV3Schema', 'properties', 'spec', 'properties'];
    definition.setIn([...spec, 'note'], { type: 'string' });
    writeFileSync(file, definition.toString());
    await upgradeAll(namespace, [], { chart });
    const change = JSON.stringify({ spec: { note: 'kept' } });
    // The API server takes up a changed definition a moment after it has it, and drops the field until then.
    await eventually(async () => {
      await namespace.kubectl('patch', 'dlp', 'largesse-gifts', '--type=merge', '--patch', change);
      const { spec: kept } = await namespace.get<{ spec: { note?: string } }>('dlp', 'largesse-gifts');
      expect(kept.note).toBe('kept');
    }, patient);
  });

  test('helm test sends a gift through it', async () => {
    const { key } = await createSender(namespace, 100);
    await namespace.apply([secret('largesse-test', { apiKey: key })]);
    await upgradeAll(namespace, [
      'consumers.gifts.settings.SMTP_MAX_CONNECTIONS=1',
      'test.existingSecret=largesse-test',
      'test.recipient=helm@example.com',
    ]);
    await helm('test', 'largesse', '--namespace', namespace.name, '--timeout', '3m');
    expect(await mails.recipients()).toContain('helm@example.com');
  });

  test('KEDA: 0 to N to 0 consumers on 1,000 gifts; each is delivered once and the ledger is even', async () => {
    await eventually(async () => expect(await consumerPods()).toEqual([]), patient);
    consumers = await watchReplicas(namespace, CONSUMER);
    const beganMs = performance.now();
    const addresses = Array.from({ length: 1_000 }, (_, index) => `recipient-${index}@example.com`);
    for (let sent = 0; sent < addresses.length; sent += 20) {
      await Promise.all(addresses.slice(sent, sent + 20).map((address) => api.send(address)));
    }
    await eventually(async () => {
      const states = await api.states();
      expect(states.filter((state) => state === 'delivered')).toHaveLength(1_001);
    }, patient);
    const deliveredMs = performance.now();
    const delivered = (await mails.recipients()).filter((address) => address.startsWith('recipient-'));
    expect(delivered.sort()).toEqual(addresses.sort());
    expect(await api.ask('/v1/ledger/invariants')).toMatchObject({ ok: true });
    await eventually(async () => expect(await consumerPods()).toEqual([]), patient);
    const numbers = consumers.seen.map(({ replicas }) => replicas);
    expect(numbers[0]).toBe(0);
    expect(Math.max(...numbers)).toBeGreaterThan(1);
    const since = (ms: number) => `after ${((ms - beganMs) / 1_000).toFixed(1)} s`;
    const changes = consumers.seen.slice(1).map(({ replicas, atMs }) => `${replicas} ${since(atMs)}`);
    process.stderr.write(
      `1,000 gifts: consumers ${changes.join(', ')}; all delivered ${since(deliveredMs)}\n`,
    );
  });

  test('helm uninstall leaves what it did not make, and nothing of what it made', async () => {
    await helm('uninstall', 'largesse', '--namespace', namespace.name, '--wait');
    const kinds =
      'all,serviceaccounts,networkpolicies,poddisruptionbudgets,configmaps,scaledobjects,roles,rolebindings';
    const ours = ['--selector', 'app.kubernetes.io/instance=largesse', '--output', 'name'];
    // Pods have their grace period.
    await eventually(async () => expect(await namespace.kubectl('get', kinds, ...ours)).toBe(''), patient);
    // P61: the definition and what somebody may have changed are not Helm's to take away.
    expect(await namespace.kubectl('get', 'dlp', '--output', 'name')).toContain('/largesse-gifts');
    const secrets = await namespace.kubectl('get', 'secrets', '--output', 'name');
    expect(secrets).toContain('secret/largesse-keyring');
    expect(await run('kubectl', ['get', 'namespace', namespace.name, '--output', 'name'])).toContain(
      namespace.name,
    );
  });

  async function consumerPods(): Promise<string[]> {
    const selector = 'app.kubernetes.io/component=consumer-gifts';
    const names = await namespace.kubectl('get', 'pods', '--selector', selector, '--output', 'name');
    return names.split('\n').filter(Boolean);
  }
});
