import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase } from '../../../services/database/client.ts';
import { migrate } from '../../../services/database/migrate.ts';
import type { GiftId } from '../../../services/domain/ids.ts';
import type { TestDatabase } from '../../support/database.ts';
import { eventually } from '../../support/eventually.ts';
import { accept, balances, draftGift, fundedSender } from '../../support/gifts.ts';
import { type PostgresServer, startPostgres } from '../../support/postgres-server.ts';
import { envelopes, publish } from './consumer-under-test.ts';
import { createWorld, depth, storyOf, type World } from './world.ts';

let postgres: PostgresServer;
let world: World;
let lostConnections = 0;

beforeAll(async () => {
  postgres = await startPostgres();
  const client = createDatabase({
    connectionString: postgres.url,
    poolMax: 10,
    applicationName: 'largesse-consumer',
    onConnectionLost: () => {
      lostConnections += 1;
    },
  });
  await migrate(client.db);
  const drop = () => client.db.destroy();
  const database: TestDatabase = { ...client, url: postgres.url, drop };
  world = await createWorld({ database, visibilityTimeoutSeconds: 10 });
}, 60_000);

afterAll(async () => {
  await world.end();
  await postgres.stop();
});

async function acceptGifts(count: number) {
  const { db } = world.database;
  const sender = await fundedSender(db);
  const drafts = Array.from({ length: count }, () => draftGift(sender));
  const { gifts, outbox } = await accept(db, drafts, envelopes);
  return { sender, ids: gifts.map(({ id }) => id), outbox };
}

async function expectDelivered(ids: GiftId[]): Promise<void> {
  await eventually(
    async () => {
      const stories = await Promise.all(ids.map((id) => storyOf(world.database, id)));
      for (const { gift, vouchers, transfers } of stories) {
        expect([gift.state, vouchers.length, transfers]).toEqual(['delivered', 1, ['commit', 'reserve']]);
      }
    },
    { timeoutMs: 30_000, intervalMs: 200 },
  );
  await eventually(async () => expect(await depth(world.emulator, world.queue.name)).toBe(0), {
    timeoutMs: 20_000,
  });
}

/** Every backend but the one that asks, as an administrator or a failover does it. */
async function terminateAll(): Promise<void> {
  const admin = new pg.Client({ connectionString: postgres.url });
  await admin.connect();
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`,
  );
  await admin.end();
}

test('P22: nothing is acked without commit when all backends are terminated between mail and commit', async () => {
  const { mail, queue, clients, proxy } = world;
  const { promise: after, resolve: release } = Promise.withResolvers<void>();
  mail.behave({ kind: 'accept', after });
  const before = {
    mails: mail.mails().length,
    held: mail.held(),
    deletes: proxy.requests('DeleteMessageBatch'),
  };
  const { sender, ids, outbox } = await acceptGifts(5);
  const consumer = world.start({ SMTP_COMMAND_TIMEOUT_SECONDS: '8', LEASE_SECONDS: '10' });
  await publish(clients, queue, outbox);
  await eventually(() => expect(mail.held()).toBe(before.held + ids.length));

  // The outcome can't be committed: another session holds the table that every settlement writes.
  const blocker = new pg.Client({ connectionString: postgres.url });
  blocker.on('error', () => undefined);
  await blocker.connect();
  await blocker.query('begin');
  await blocker.query('lock table ledger_transfers in access exclusive mode');
  release();
  await eventually(async () => {
    const { rows } = await blocker.query(
      `select count(*)::integer as waiting from pg_stat_activity where wait_event_type = 'Lock'`,
    );
    expect(rows[0]?.waiting).toBeGreaterThan(0);
  });
  expect(proxy.requests('DeleteMessageBatch')).toBe(before.deletes);
  await terminateAll();

  await expectDelivered(ids);
  expect(proxy.requests('DeleteMessageBatch')).toBeGreaterThan(before.deletes);
  // The handlers outlived the outage and recorded what they had sent: nobody was written to twice.
  expect(mail.mails().length).toBe(before.mails + ids.length);
  expect(await balances(world.database.db, sender)).toMatchObject({ reserved: 0, total: 0 });
  expect(consumer.health().ok).toBe(true);
  mail.behave({ kind: 'accept' });
  await consumer.shutDown();
}, 60_000);

test('P22: a Postgres that restarts again and again under load loses no gift', async () => {
  const { queue, clients } = world;
  const { sender, ids, outbox } = await acceptGifts(80);
  const consumer = world.start({
    SMTP_COMMAND_TIMEOUT_SECONDS: '8',
    LEASE_SECONDS: '10',
    MAX_IN_FLIGHT: '10',
    RETRY_CAP_MS: '500',
  });
  await publish(clients, queue, outbox.slice(0, 30));
  await postgres.restart();
  await publish(clients, queue, outbox.slice(30, 60));
  await terminateAll();
  await publish(clients, queue, outbox.slice(60));
  await postgres.restart();
  await expectDelivered(ids);
  expect(await balances(world.database.db, sender)).toMatchObject({ reserved: 0, total: 0 });
  // Whatever was mailed twice is the same mail twice.
  const links = new Map(world.mail.mails().map(({ messageId, link }) => [messageId, link]));
  expect(new Set(links.values()).size).toBe(links.size);
  expect(lostConnections).toBeGreaterThan(0);
  expect(consumer.health()).toMatchObject({ ok: true, reachable: true });
  await consumer.shutDown();
}, 90_000);

test('a database that only reads for a while is charged to no gift and to no message: consumption is paused until it answers', async () => {
  const { queue, clients } = world;
  const { ids, outbox } = await acceptGifts(10);
  const consumer = world.start({ LEASE_SECONDS: '10' });
  await postgres.setReadOnly(true);
  await publish(clients, queue, outbox);
  const told = (event: string) => consumer.lines().filter((line) => line['event'] === event);
  await eventually(() => expect(told('consumption_paused').length).toBeGreaterThanOrEqual(4), {
    timeoutMs: 30_000,
  });
  expect(told('consumption_paused')[0]).toMatchObject({ code: 'database_unavailable', owner: 'peer' });
  await postgres.setReadOnly(false);
  await expectDelivered(ids);
  expect(told('consumption_resumed')).toHaveLength(1);
  // A receive or two of each until it is paused, and one for each probe.
  const unclaimed = consumer.lines().filter((line) => line['result'] === 'unclaimed');
  expect(unclaimed.length).toBeLessThanOrEqual(2 * ids.length + told('consumption_paused').length);
  expect(await depth(world.emulator, queue.deadLetterName)).toBe(0);
  const stories = await Promise.all(ids.map((id) => storyOf(world.database, id)));
  for (const { attempts } of stories) expect(attempts).toHaveLength(1);
  await consumer.shutDown();
}, 90_000);
