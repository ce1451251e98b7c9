import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ApiClient } from '../../../services/reconciler/kubernetes/api-client.ts';
import { createEvent } from '../../../services/reconciler/kubernetes/event-api.ts';
import { followPolicy } from '../../../services/reconciler/kubernetes/follow-policy.ts';
import { PolicyApi } from '../../../services/reconciler/kubernetes/policy-api.ts';
import type { PolicyObject } from '../../../services/reconciler/kubernetes/policy-object.ts';
import type { PolicyStatus } from '../../../services/reconciler/policy-status.ts';
import { eventually } from '../../support/eventually.ts';
import { createNamespace, type Namespace } from '../support/namespace.ts';
import { clientFor, installDefinition, policyNamed } from '../support/policies.ts';

let namespace: Namespace;
let client: ApiClient;
let api: PolicyApi;
beforeAll(async () => {
  await installDefinition();
  namespace = await createNamespace('largesse-status');
  client = await clientFor(namespace);
  api = new PolicyApi(client);
});
afterAll(async () => {
  client?.close();
  await namespace?.remove();
});

async function made(name: string): Promise<PolicyObject> {
  await namespace.apply([policyNamed(name)]);
  const found = await api.find(name);
  if (found === null) throw new Error(`${name} is not there`);
  return found;
}

function status(redriven: number): PolicyStatus {
  const condition = { type: 'Ready', status: 'True', reason: 'PolicyAccepted', message: '' } as const;
  const time = '2026-11-28T12:00:00.000Z';
  return {
    observedGeneration: 1,
    conditions: [{ ...condition, lastTransitionTime: time, observedGeneration: 1 }],
    lastRun: {
      startedAt: time,
      finishedAt: new Date().toISOString(),
      dryRun: false,
      ...{ scanned: redriven, redriven, quarantined: 0, discarded: 0, waiting: 0, errors: 0 },
    },
    deadLetters: 0,
  };
}

const patch = (name: string, change: object, ...more: string[]) =>
  namespace.kubectl('patch', 'dlp', name, '--type=merge', `--patch=${JSON.stringify(change)}`, ...more);

describe('the status of a policy', () => {
  test('P44: is written by one request to its own subresource, and shown in the columns', async () => {
    const policy = await made('columns');
    expect(await api.applyStatus(policy, status(12))).toMatchObject({
      status: { lastRun: { redriven: 12 } },
    });
    const [, row] = (await namespace.kubectl('get', 'dlp', 'columns')).split('\n');
    expect(row).toMatch(/^columns +True +0 +12 +0 +\d+s +\d+s$/);
    expect((await api.find('columns'))?.metadata.generation).toBe(1);
  });

  test('P44: what a person does to the spec meanwhile is not overwritten, nor does it keep the status from being written', async () => {
    const policy = await made('edited');
    await patch('edited', { spec: { limits: { ratePerSecond: 7 } } });
    await api.applyStatus(policy, status(1));
    const now = await namespace.get<{ metadata: object; spec: object; status: object }>('dlp', 'edited');
    expect(now).toMatchObject({
      metadata: { generation: 2 },
      spec: { limits: { ratePerSecond: 7 } },
      status: { observedGeneration: 1, lastRun: { redriven: 1 } },
    });
  });

  test('P44: is written although others change the policy at the same time', async () => {
    const policy = await made('busy');
    const label = (look: number) => patch('busy', { metadata: { labels: { look: `n${look}` } } });
    const [, , , , written] = await Promise.all([
      ...[1, 2, 3, 4].map(label),
      api.applyStatus(policy, status(99)),
    ]);
    expect(written).toMatchObject({ status: { lastRun: { redriven: 99 } } });
    expect(await api.find('busy')).toMatchObject({ status: { lastRun: { redriven: 99 } } });
  });

  test('P45: conditions that somebody else reports stay', async () => {
    const policy = await made('shared');
    await api.applyStatus(policy, status(1));
    const { status: before } = await namespace.get<{ status: PolicyStatus }>('dlp', 'shared');
    const approved = {
      type: 'Approved',
      status: 'True',
      reason: 'Looked',
      message: '',
      lastTransitionTime: '2026-11-28T12:00:00Z',
    };
    const both = { status: { conditions: [...before.conditions, approved] } };
    await patch('shared', both, '--subresource=status');
    await api.applyStatus(policy, status(2));
    const { status: after } = await namespace.get<{ status: PolicyStatus }>('dlp', 'shared');
    expect(after.conditions.map(({ type }) => type).toSorted()).toEqual(['Approved', 'Ready']);
    expect(after.lastRun).toMatchObject({ redriven: 2 });
  });

  test('of a policy that was deleted is not written, and makes no new one', async () => {
    const policy = await made('gone');
    await namespace.kubectl('delete', 'dlp', 'gone');
    expect(await api.applyStatus(policy, status(1))).toBeNull();
    expect(await api.find('gone')).toBeNull();
  });

  test('of a policy that was deleted and made anew under its name is not written to the new one', async () => {
    const policy = await made('anew');
    await namespace.kubectl('delete', 'dlp', 'anew');
    await made('anew');
    expect(await api.applyStatus(policy, status(1))).toBeNull();
    expect(await namespace.get('dlp', 'anew')).not.toHaveProperty('status');
  });
});

describe('a policy that is followed', () => {
  test.each<[string, (name: string) => Promise<unknown>, string]>([
    ['suspends it', (name) => patch(name, { spec: { suspend: true } }), 'suspended'],
    ['deletes it', (name) => namespace.kubectl('delete', 'dlp', name), 'deleted'],
    ['makes it a dry run', (name) => patch(name, { spec: { dryRun: true } }), 'changed to a dry run'],
  ])('stops its run when a person %s', async (verb, act, expected) => {
    const name = verb.split(' ').join('-');
    const followed = followPolicy(api, await made(name));
    await patch(name, { spec: { limits: { maxMessages: 5 } } });
    expect(followed.stopped.aborted).toBe(false);
    await act(name);
    await eventually(() => expect(followed.stopped.aborted).toBe(true));
    expect(String(followed.stopped.reason)).toContain(`${expected} during the run`);
    followed.end();
  });
});

test('an Event is told once, however often it is created, and kubectl describe shows it at its policy', async () => {
  const policy = await made('told');
  const draft = {
    type: 'Warning',
    reason: 'Open',
    note: 'CircuitClosed is False: too many',
    about: 'CircuitClosed',
  } as const;
  for (const _time of [1, 2]) await createEvent(client, policy, { draft, runName: 'run1', at: new Date() });
  const { items } = await namespace.get<{ items: { message: string }[] }>(
    ...['events', '--field-selector', 'involvedObject.name=told'],
  );
  expect(items.map(({ message }) => message)).toEqual(['CircuitClosed is False: too many']);
  expect(await namespace.kubectl('describe', 'dlp', 'told')).toMatch(
    /Warning +Open .* CircuitClosed is False: too many/,
  );
});
