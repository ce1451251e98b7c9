import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { GiftId } from '../../../services/domain/ids.ts';
import { defaultPolicy } from '../../../services/reconciler/default-policy.ts';
import { resourcesOf } from '../../support/cloudformation.ts';
import { eventually } from '../../support/eventually.ts';
import { allowedBy, type GuardedQueue, guardQueues, type Statement } from '../../support/permissions.ts';
import { startRole } from '../../support/role-process.ts';
import { storyOf } from '../consumer/world.ts';
import { acceptOverHttp, createSystem, giftBody, type System } from '../crash/system.ts';

const POLICIES = {
  migrate: 'MigratePolicy',
  api: 'ApiPolicy',
  consumer: 'ConsumerGiftsPolicy',
  reconciler: 'ReconcilerPolicy',
} as const;
type Role = keyof typeof POLICIES;

let folder: string;
let system: System;
let queues: Record<Role, GuardedQueue>;
let statements: Record<Role, Statement[]>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'largesse-permissions-'));
  await writeFile(join(folder, 'policy.json'), JSON.stringify(impatientPolicy()));
  system = await createSystem();
  const made = resourcesOf('k8s/eks/aws.yaml', { Provision: 'true', QueueName: system.queueName });
  const statementsOf = (policy: string) =>
    (made[policy] as { PolicyDocument: { Statement: Statement[] } }).PolicyDocument.Statement;
  const roles = Object.entries(POLICIES);
  statements = Object.fromEntries(
    roles.map(([role, policy]) => [role, statementsOf(policy)]),
  ) as typeof statements;
  const guarded = roles.map(async ([role]) => [
    role,
    await guardQueues(system.emulator.endpoint, statements[role as Role]),
  ]);
  queues = Object.fromEntries(await Promise.all(guarded));
});
afterAll(async () => {
  await system?.end();
  await Promise.all(Object.values(queues ?? {}).map(({ stop }) => stop()));
  await rm(folder, { recursive: true });
});

/** The built-in policy, which waits for no age: what it may do is asked here, not when. */
function impatientPolicy(): typeof defaultPolicy {
  const { spec } = defaultPolicy;
  const rules = spec.rules.map((rule) => ({ ...rule, match: { ...rule.match, minAge: '1s' } }));
  const limits = { ...spec.limits, quarantineMinAge: '1s' };
  return { ...defaultPolicy, spec: { ...spec, limits, rules } } as typeof defaultPolicy;
}

const envOf = (role: Role) => ({
  AWS_ENDPOINT_URL_SQS: queues[role].endpoint,
  QUEUE_PROVISIONING: role === 'migrate' ? 'create' : 'verify',
  MAX_RETRY_COUNT: '1',
});

/** In this order: the queues are made by the first. */
test('with the permissions of k8s/eks/aws.yaml every role does all of its work', async () => {
  const migrated = startRole('admin', ['migrate'], { ...system.env, ...envOf('migrate') });
  expect({ code: await migrated.ended, said: migrated.output() }).toMatchObject({ code: 0 });
  // Again, as each upgrade does.
  expect(await startRole('admin', ['migrate'], { ...system.env, ...envOf('migrate') }).ended).toBe(0);

  let mended = false;
  let refusals = 0;
  system.mail.behave(({ at, to }) => {
    if (at !== 'recipient') return { kind: 'accept' };
    if (to.startsWith('refused')) return { kind: 'reply', at, code: 550 };
    const refuses = to.startsWith('later') ? refusals++ === 0 : to.startsWith('dead') && !mended;
    return refuses ? { kind: 'reply', at, code: 451 } : { kind: 'accept' };
  });
  const api = await system.startApi(envOf('api'));
  const consumer = await system.startConsumer(envOf('consumer'));
  const recipients = ['fine', 'later', 'dead', 'refused'];
  const bodies = recipients.map((name, index) => ({
    ...giftBody(index),
    recipient: { type: 'email', email: `${name}@example.com` },
  }));
  const gifts = await acceptOverHttp(api, system.sender, bodies);
  await eventually(
    () => {
      const died = consumer.lines().filter((line) => line['result'] === 'dead_letter');
      expect(died).toHaveLength(2);
    },
    { timeoutMs: 20_000 },
  );
  // What is too young waits: it is given back.
  expect([0, 1, 2]).toContain(await (await system.reconcile(envOf('reconciler'))).ended);
  mended = true;
  const states = () =>
    Promise.all(gifts.map(async (id) => (await storyOf(system.database, id as GiftId)).gift.state));
  await eventually(
    async () => {
      const policy = { DEAD_LETTER_POLICY_FILE: join(folder, 'policy.json') };
      const run = await system.reconcile({ ...envOf('reconciler'), ...policy });
      expect([0, 1, 2]).toContain(await run.ended);
      expect(await states()).toEqual(['delivered', 'delivered', 'delivered', 'failed']);
    },
    { timeoutMs: 60_000, intervalMs: 500 },
  );
  const asked = await fetch(`${api.url}/v1/queues`, {
    headers: { authorization: `Bearer ${system.sender.key}` },
  });
  expect(await asked.json()).toMatchObject({ data: [{ refusal: null, messages: { visible: 0 } }] });
  expect(await consumer.stop()).toBe(0);
  expect(await api.stop()).toBe(0);
  for (const { refused } of Object.values(queues)) expect([...refused]).toEqual([]);
}, 120_000);

test.each(Object.keys(POLICIES) as Role[])(
  'the permissions of %s are the least: it uses each of them',
  (role) => {
    expect([...queues[role].used].sort()).toEqual(allowedBy(statements[role]));
  },
);

test('without queues.provision the migration needs nothing of AWS', async () => {
  const { AWS_REGION: _region, QUEUE_PROVISIONING: _mode, ...env } = system.env;
  const own = Object.entries(env).filter(([name]) => !name.startsWith('AWS_') && name !== 'GIFTS_QUEUE_NAME');
  expect(await startRole('admin', ['migrate'], Object.fromEntries(own)).ended).toBe(0);
  expect(resourcesOf('k8s/eks/aws.yaml', {})['MigratePolicy']).toBeUndefined();
});

test('what a role has no permission for is refused, and it says which', async () => {
  const guarded = await guardQueues(system.emulator.endpoint, statements.api);
  const env = { ...system.env, ...envOf('consumer'), AWS_ENDPOINT_URL_SQS: guarded.endpoint };
  const consumer = startRole('consumer', ['gifts'], { ...env, SMTP_URL: system.mail.url });
  await eventually(
    () => {
      expect([...guarded.refused]).toContain(`sqs:ReceiveMessage ${system.queueName}`);
      expect(consumer.output()).toContain('AccessDenied');
    },
    { timeoutMs: 20_000 },
  );
  await consumer.stop();
  await guarded.stop();
});
