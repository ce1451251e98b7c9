import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { type Api, openApi } from './support/api.ts';
import { run } from './support/command.ts';
import { installSurroundings, upgrade } from './support/installation.ts';
import { createNamespace, type Namespace } from './support/namespace.ts';
import { watchReplicas } from './support/replicas.ts';

const CONSUMER = 'largesse-consumer-gifts';
const PAUSED = 'autoscaling.keda.sh/paused-replicas';
const patient = { timeoutMs: 240_000, intervalMs: 1_000 };

describe('what an operator does with KEDA', () => {
  let namespace: Namespace;
  let api: Api;

  beforeAll(async () => {
    namespace = await createNamespace('largesse-keda');
    await installSurroundings(namespace);
    await upgrade(namespace, ['consumerDefaults.scaling.pollingIntervalSeconds=2']);
    api = await openApi(namespace);
  });
  afterAll(async () => {
    await api?.close();
    await namespace.remove();
  });

  test('P69: a paused consumer stays away however long the queue is; unpaused it comes, though KEDA was restarted', async () => {
    await namespace.kubectl('annotate', 'scaledobject', CONSUMER, `${PAUSED}=0`);
    await eventually(async () => expect(await condition('Paused')).toBe('True'), patient);
    await eventually(async () => expect(await pods()).toBe(''), patient);
    const watch = await watchReplicas(namespace, CONSUMER);
    for (let gift = 0; gift < 60; gift += 1) await api.send(`paused-${gift}@example.com`);
    await eventually(async () => expect(await visible()).toBe(60), patient);
    await run('kubectl', ['--namespace', 'keda', 'rollout', 'restart', 'deployment/keda-operator']);
    const restarted = ['rollout', 'status', 'deployment/keda-operator', '--timeout=120s'];
    await run('kubectl', ['--namespace', 'keda', ...restarted]);
    // The new operator has looked at it.
    await eventually(async () => expect(await condition('Paused')).toBe('True'), patient);
    expect(watch.seen.map(({ replicas }) => replicas)).toEqual([0]);
    await namespace.kubectl('annotate', 'scaledobject', CONSUMER, `${PAUSED}-`);
    await eventually(async () => {
      const states = await api.states();
      expect(states.filter((state) => state === 'delivered')).toHaveLength(60);
    }, patient);
    await watch.close();
  });

  test('P70: a changed queueLength takes no consumer away while there is work', async () => {
    // Mails wait for their server, and the queue stays as long as it is.
    await namespace.kubectl('scale', 'deployment/mail', '--replicas=0');
    for (let gift = 0; gift < 60; gift += 1) await api.send(`waiting-${gift}@example.com`);
    const watch = await watchReplicas(namespace, CONSUMER);
    const replicas = () => watch.seen.map((each) => each.replicas);
    await eventually(() => expect(replicas().at(-1)).toBe(2), patient);
    const before = replicas().length;
    const shorter = [{ op: 'replace', path: '/spec/triggers/0/metadata/queueLength', value: '25' }];
    await namespace.kubectl(
      'patch',
      'scaledobject',
      CONSUMER,
      '--type=json',
      '--patch',
      JSON.stringify(shorter),
    );
    await eventually(() => expect(replicas().at(-1)).toBe(3), patient);
    expect(replicas().slice(before)).toEqual([3]);
    await watch.close();
    await namespace.kubectl('scale', 'deployment/mail', '--replicas=1');
    await namespace.kubectl('rollout', 'status', 'deployment/mail', '--timeout=120s');
  });

  test('P30: while the queue can not be read, who works on it is not ended', async () => {
    await api.send('reader@example.com');
    await eventually(async () => expect(await pods()).not.toBe(''), patient);
    await namespace.kubectl('scale', 'deployment/sqs-emulator', '--replicas=0');
    await eventually(async () => expect(await condition('Fallback')).toBe('True'), patient);
    expect(await pods()).not.toBe('');
  });

  async function condition(type: string): Promise<string | undefined> {
    type Scaled = { status: { conditions: { type: string; status: string }[] } };
    const { status } = await namespace.get<Scaled>('scaledobject', CONSUMER);
    return status.conditions.find((each) => each.type === type)?.status;
  }

  function pods(): Promise<string> {
    const selector = 'app.kubernetes.io/component=consumer-gifts';
    return namespace.kubectl('get', 'pods', '--selector', selector, '--output', 'name');
  }

  async function visible(): Promise<number> {
    type Queues = { data: { messages: { visible: number } | null }[] };
    return (await api.ask<Queues>('/v1/queues')).data[0]?.messages?.visible ?? 0;
  }
});
