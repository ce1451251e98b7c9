import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { eventually } from '../../support/eventually.ts';
import { hang } from '../../support/faults.ts';
import { accept, draftGift, fundedSender } from '../../support/gifts.ts';
import { envelopes, publish } from './consumer-under-test.ts';
import { createWorld, storyOf, type World } from './world.ts';

let world: World;
/** A look from outside: through the consumer's own pool it would find itself. */
let observer: pg.Client;

beforeAll(async () => {
  world = await createWorld();
  observer = new pg.Client({
    connectionString: world.database.url,
    application_name: 'largesse-test-observer',
  });
  await observer.connect();
});

afterEach(() => {
  world.mail.behave({ kind: 'accept' });
  world.proxy.heal();
});

afterAll(async () => {
  await observer.end();
  await world.end();
});

async function sendGifts(count: number) {
  const { database, clients, queue } = world;
  const sender = await fundedSender(database.db);
  const { gifts, outbox } = await accept(
    database.db,
    Array.from({ length: count }, () => draftGift(sender)),
    envelopes,
  );
  await publish(clients, queue, outbox);
  return gifts.map(({ id }) => id);
}

/** Every backend of the consumer's pool is at rest, and the pool has lent none. */
async function expectNothingHeld(): Promise<void> {
  const { rows } = await observer.query(
    `select state, xact_start from pg_stat_activity
      where datname = current_database() and application_name = 'largesse-test'`,
  );
  expect(rows.length).toBeGreaterThan(0);
  for (const row of rows) expect(row).toEqual({ state: 'idle', xact_start: null });
  const { pool } = world.database;
  expect(pool.totalCount - pool.idleCount).toBe(0);
}

test('P20: no transaction and no connection is held while a mail hangs', async () => {
  world.mail.behave({ kind: 'hang', at: 'content', kept: false });
  const heldBefore = world.mail.held();
  const ids = await sendGifts(3);
  const consumer = world.start();
  await eventually(() => expect(world.mail.held()).toBe(heldBefore + ids.length));
  await expectNothingHeld();
  expect((await storyOf(world.database, ids[0] as never)).gift.state).toBe('delivering');
  world.mail.behave({ kind: 'accept' });
  await consumer.shutDown();
});

test.each(['DeleteMessageBatch', 'ChangeMessageVisibilityBatch', 'SendMessageBatch'])(
  'P20: no transaction and no connection is held while %s hangs',
  async (operation) => {
    if (operation === 'ChangeMessageVisibilityBatch')
      world.mail.behave({ kind: 'reply', at: 'recipient', code: 451 });
    if (operation === 'SendMessageBatch') world.mail.behave({ kind: 'reply', at: 'recipient', code: 550 });
    world.proxy.inject({ operation, fault: hang() });
    const ids = await sendGifts(3);
    const consumer = world.start();
    await eventually(async () => {
      expect(world.proxy.open(operation).length).toBeGreaterThan(0);
      for (const id of ids) {
        const { attempts } = await storyOf(world.database, id);
        expect(attempts.at(-1)?.outcome).not.toBe('started');
        expect(attempts.length).toBeGreaterThan(0);
      }
    });
    await expectNothingHeld();
    expect(world.proxy.open(operation).length).toBeGreaterThan(0);
    world.proxy.heal();
    await consumer.shutDown();
  },
);
