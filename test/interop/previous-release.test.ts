import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { readOutboxBacklog } from '../../services/database/queries/outbox.ts';
import type { GiftId } from '../../services/domain/ids.ts';
import { storyOf } from '../integration/consumer/world.ts';
import { acceptOverHttp, createSystem, giftBody, type System } from '../integration/crash/system.ts';
import { eventually } from '../support/eventually.ts';
import { previousReleaseFolder } from '../support/previous-release.ts';
import { killRoles, type RoleProcess, startRole } from '../support/role-process.ts';

let system: System;
let previous: Awaited<ReturnType<typeof previousReleaseFolder>>;

beforeAll(async () => {
  [system, previous] = await Promise.all([createSystem(), previousReleaseFolder()]);
  // The first use on a machine fetches the dependencies of that release.
}, 400_000);
afterEach(() => killRoles());
afterAll(async () => {
  await system.end();
  await previous.remove();
});

const startPrevious = (role: string, args: string[], env: Record<string, string>): RoleProcess =>
  startRole(role, args, { ...system.env, HANDLER_TIMEOUT_SECONDS: '4', ...env }, {}, previous.folder);

async function startPreviousApi(env: Record<string, string> = {}): Promise<RoleProcess & { url: string }> {
  const api = startPrevious('api', [], { AWS_ENDPOINT_URL_SQS: system.apiProxy.endpoint, ...env });
  const { port } = await api.logged('started');
  await api.logged('queue_found');
  return { ...api, url: `http://127.0.0.1:${port}` };
}

async function startPreviousConsumer(): Promise<RoleProcess> {
  const endpoints = { AWS_ENDPOINT_URL_SQS: system.consumerProxy.endpoint, SMTP_URL: system.mail.url };
  const consumer = startPrevious('consumer', ['gifts'], endpoints);
  await consumer.logged('consumer_started');
  return consumer;
}

const bodiesFrom = (first: number) => Array.from({ length: 5 }, (_, index) => giftBody(first + index));

async function arrive(gifts: GiftId[]): Promise<void> {
  await eventually(
    async () => {
      const stories = await Promise.all(gifts.map((id) => storyOf(system.database, id)));
      expect(stories.map(({ gift }) => gift.state)).toEqual(gifts.map(() => 'delivered'));
    },
    { timeoutMs: 20_000 },
  );
}

test('old and new side by side: gifts of either release are delivered by either, on the new schema', async () => {
  const oldApi = await startPreviousApi();
  const oldConsumer = await startPreviousConsumer();
  const api = await system.startApi();
  await arrive(await acceptOverHttp(api, system.sender, bodiesFrom(0)));
  await oldConsumer.stop();
  await system.startConsumer();
  await arrive(await acceptOverHttp(oldApi, system.sender, bodiesFrom(10)));
  expect(system.mail.mails()).toHaveLength(10);
}, 90_000);

test('old and new side by side: what an old process parked, because it knew no such queue, the new one sends', async () => {
  // To the old process our queue is one that it does not know.
  const oldApi = await startPreviousApi({ GIFTS_QUEUE_NAME: `${system.queueName}-old` });
  await system.database.pool.query(
    `insert into outbox (queue, body, available_at) values ($1, '{"left": true}', clock_timestamp())`,
    [system.queueName],
  );
  await oldApi.logged('outbox_row_parked');
  await oldApi.stop();
  expect(await readOutboxBacklog(system.database.db)).toMatchObject({ parked: 1 });
  const api = await system.startApi();
  await api.logged('outbox_rows_released');
  await eventually(async () => {
    const { ready } = await system.emulator.inspect(system.queueName);
    expect(ready.map(({ body }) => body)).toContain('{"left": true}');
  });
}, 90_000);
