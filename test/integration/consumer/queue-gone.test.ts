import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { toUuid } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { httpError } from '../../support/faults.ts';
import { callSqs } from '../../support/queue-pair.ts';
import { killRoles } from '../../support/role-process.ts';
import { acceptOverHttp, createSystem, giftBody, type System } from '../crash/system.ts';
import { storyOf } from './world.ts';

let system: System;

beforeAll(async () => {
  system = await createSystem();
}, 60_000);
afterEach(killRoles);
afterAll(() => system.end());

async function deleteQueue(name: string): Promise<void> {
  const { QueueUrl } = await callSqs(system.emulator, 'GetQueueUrl', { QueueName: name });
  await callSqs(system.emulator, 'DeleteQueue', { QueueUrl });
}

test('queues that are gone with all that was in them (an emulator that restarted) are there again, though nobody sends: no gift waits for the next one', async () => {
  const { database, consumerProxy, queueName } = system;
  const api = await system.startApi();
  const consumer = await system.startConsumer();
  consumerProxy.inject({ operation: 'ReceiveMessage', fault: httpError(503) });
  await consumer.logged('receive_failed');
  const [id] = await acceptOverHttp(api, system.sender, [giftBody(1)]);
  if (id === undefined) throw new Error('no gift');
  await eventually(async () =>
    expect(await database.db.selectFrom('outbox').select('id').execute()).toEqual([]),
  );
  await deleteQueue(queueName);
  await deleteQueue(`${queueName}-dlq`);
  consumerProxy.heal();
  await consumer.logged('queue_gone');
  await consumer.logged('queue_found_again');
  await sql`update gifts set state_changed_at = state_changed_at - interval '1 hour' where id = ${toUuid(id)}`.execute(
    database.db,
  );
  const run = await system.reconcile();
  expect(await run.ended).toBe(0);
  await eventually(async () => expect((await storyOf(database, id)).gift.state).toBe('delivered'), {
    timeoutMs: 40_000,
  });
  expect(system.mail.mails()).toHaveLength(1);
  expect(await consumer.stop()).toBe(0);
  expect(await api.stop()).toBe(0);
}, 120_000);
