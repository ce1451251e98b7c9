import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { newId } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { accept, draftGift, fundedSender } from '../../support/gifts.ts';
import { envelopes, publish } from './consumer-under-test.ts';
import { createWorld, deadLetters, depth, storyOf, type World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await createWorld({ visibilityTimeoutSeconds: 30, maxReceiveCount: 12 });
});

afterEach(() => world.mail.behave({ kind: 'accept' }));

afterAll(() => world.end());

async function acceptGifts(count: number) {
  const { db } = world.database;
  const sender = await fundedSender(db);
  const drafts = Array.from({ length: count }, () => draftGift(sender));
  const { gifts, outbox } = await accept(db, drafts, envelopes);
  return { ids: gifts.map(({ id }) => id), outbox };
}

test('P7: after k scale-ins (k < maxReceiveCount) a healthy message is not in the DLQ and lost no attempt', async () => {
  const { database, mail, clients, queue, emulator } = world;
  // Gifts are claimed and vouchers minted, but no mail can be begun: one waits for the greeting, the others for a connection.
  mail.behave({ kind: 'hang', at: 'greeting' });
  const env = {
    SMTP_MAX_CONNECTIONS: '1',
    MAX_RETRY_COUNT: '1',
    SMTP_COMMAND_TIMEOUT_SECONDS: '20',
    LEASE_SECONDS: '25',
  };
  const { ids, outbox } = await acceptGifts(3);
  const stories = () => Promise.all(ids.map((id) => storyOf(database, id)));
  await publish(clients, queue, outbox);
  const scaleIns = 6;
  for (let k = 1; k <= scaleIns; k += 1) {
    const consumer = world.start(env);
    await eventually(async () => {
      for (const { deliveries } of await stories()) {
        expect(deliveries[0]).toMatchObject({ state: 'sending', attempts: k });
      }
    });
    await consumer.shutDown();
    for (const { gift, deliveries, attempts } of await stories()) {
      expect(gift).toMatchObject({ state: 'queued', lease_until: null, dead_lettered_at: null });
      expect(deliveries[0]).toMatchObject({ state: 'deferred', attempts: k, attempts_forgiven: k });
      expect(attempts.map(({ outcome }) => outcome)).toEqual(attempts.map(() => 'interrupted'));
    }
    // Released, not left to the visibility time-out of 30 s.
    expect((await emulator.inspect(queue.name)).ready).toHaveLength(ids.length);
  }
  mail.behave({ kind: 'accept' });
  const last = world.start(env);
  await eventually(async () => {
    for (const { gift } of await stories()) expect(gift.state).toBe('delivered');
  });
  for (const { attempts } of await stories()) {
    expect(attempts.at(-1)).toMatchObject({
      outcome: 'sent',
      number: scaleIns + 1,
      receive_count: scaleIns + 1,
    });
  }
  // It counts as the first attempt: whoever fails next still has all of MAX_RETRY_COUNT before them.
  const lines = last.lines().filter((line) => line['event'] === 'message_handled');
  // The log has the timeline's number of the attempt beside it.
  expect(lines.map(({ result, attempt, attempts_counted: counted }) => [result, attempt, counted])).toEqual(
    ids.map(() => ['delivered', scaleIns + 1, 1]),
  );
  expect(await deadLetters(emulator, queue)).toEqual([]);
  await last.shutDown();
}, 90_000);

test('a shutdown finishes the mail that is under way and acknowledges it', async () => {
  const { database, mail, clients, queue, emulator } = world;
  const { promise: after, resolve: release } = Promise.withResolvers<void>();
  mail.behave({ kind: 'accept', after });
  const heldBefore = mail.held();
  const { ids, outbox } = await acceptGifts(1);
  const consumer = world.start();
  await publish(clients, queue, outbox);
  await eventually(() => expect(mail.held()).toBeGreaterThan(heldBefore));
  const stopped = consumer.shutDown();
  release();
  await stopped;
  expect((await storyOf(database, ids[0] ?? newId('gft'))).gift.state).toBe('delivered');
  expect(await depth(emulator, queue.name)).toBe(0);
});

test('a shutdown in the middle of a backlog loses nothing and sends nothing twice', async () => {
  const { database, mail, clients, queue, emulator } = world;
  const before = mail.mails().length;
  const { ids, outbox } = await acceptGifts(60);
  await publish(clients, queue, outbox);
  const first = world.start({ MAX_IN_FLIGHT: '10', SMTP_MAX_CONNECTIONS: '1' });
  await eventually(() => expect(mail.mails().length).toBeGreaterThan(before + 5));
  await first.shutDown();
  const second = world.start();
  await eventually(
    async () => {
      const stories = await Promise.all(ids.map((id) => storyOf(database, id)));
      expect(stories.filter(({ gift }) => gift.state !== 'delivered')).toEqual([]);
    },
    { timeoutMs: 20_000, intervalMs: 200 },
  );
  await second.shutDown();
  expect(mail.mails().length).toBe(before + ids.length);
  expect(await depth(emulator, queue.name)).toBe(0);
});
