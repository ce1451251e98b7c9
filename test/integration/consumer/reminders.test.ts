import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { remindGifts } from '../../../services/domain/gifts/remind-gifts.ts';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { duplicate } from '../../support/faults.ts';
import { accept, draftGift, fundedSender, passHalfTheirTime } from '../../support/gifts.ts';
import { envelopes, publish, type TestedConsumer } from './consumer-under-test.ts';
import { createWorld, deadLetters, depth, storyOf, type World } from './world.ts';

let world: World;
const running: TestedConsumer[] = [];

beforeAll(async () => {
  world = await createWorld({ visibilityTimeoutSeconds: 3 });
});

afterEach(async () => {
  world.mail.behave({ kind: 'accept' });
  world.proxy.heal();
  await Promise.all(running.splice(0).map((consumer) => consumer.shutDown()));
});

afterAll(() => world.end());

const start = (env: Record<string, string> = {}) => {
  const consumer = world.start({ LEASE_SECONDS: '3', SMTP_COMMAND_TIMEOUT_SECONDS: '2', ...env });
  running.push(consumer);
  return consumer;
};

/** Gifts that were delivered a day ago and expire tomorrow. */
async function deliveredGifts(count: number): Promise<GiftId[]> {
  const { database, clients, queue } = world;
  const sender = await fundedSender(database.db);
  const expiresAt = new Date(Date.now() + 86_400_000);
  const drafts = Array.from({ length: count }, () => draftGift(sender, { expiresAt }));
  const { gifts, outbox } = await accept(database.db, drafts, envelopes);
  await publish(clients, queue, outbox);
  const consumer = start();
  const ids = gifts.map(({ id }) => id);
  await eventually(async () => {
    for (const id of ids) expect((await storyOf(database, id)).gift.state).toBe('delivered');
  });
  await eventually(async () => expect(await depth(world.emulator, queue.name)).toBe(0));
  running.splice(running.indexOf(consumer), 1);
  await consumer.shutDown();
  await database.db.deleteFrom('outbox').execute();
  await passHalfTheirTime(database.db, ids);
  return ids;
}

/** What the schedule of any API process does. */
const remind = () =>
  world.database.db
    .transaction()
    .execute((trx) =>
      remindGifts(trx, { outbox: envelopes }, { remindBeforeSeconds: 2 * 86_400, limit: 100 }),
    );

const outboxBodies = () => world.database.db.selectFrom('outbox').select('body').execute();

const remindersOf = (ids: GiftId[]) =>
  world.database.db
    .selectFrom('deliveries')
    .selectAll()
    .where(
      'gift_id',
      'in',
      ids.map((id) => toUuid(id)),
    )
    .where('purpose', '=', 'reminder')
    .execute();

const reminderMails = () => world.mail.mails().filter(({ subject }) => subject.includes('expires soon'));

test('P55: two schedules at once and every message twice send each reminder once', async () => {
  const ids = await deliveredGifts(12);
  const before = reminderMails().length;
  const [one, other] = await Promise.all([remind(), remind()]);
  expect(one + other).toBe(ids.length);
  expect(await remind()).toBe(0);
  world.proxy.inject({ operation: 'ReceiveMessage', fault: duplicate({ copies: 1 }) });
  const bodies = await outboxBodies();
  expect(bodies).toHaveLength(ids.length);
  await publish(world.clients, world.queue, bodies);
  await publish(world.clients, world.queue, bodies);
  start();
  start();
  await eventually(
    async () => {
      expect((await remindersOf(ids)).map(({ state }) => state)).toEqual(ids.map(() => 'sent'));
      expect(await depth(world.emulator, world.queue.name)).toBe(0);
    },
    { timeoutMs: 25_000 },
  );
  const mails = reminderMails().slice(before);
  expect(mails).toHaveLength(ids.length);
  expect(new Set(mails.map(({ messageId }) => messageId)).size).toBe(ids.length);
}, 60_000);

test('P55: a reminder that may have arrived is never sent again, and needs no dead letter', async () => {
  const ids = await deliveredGifts(1);
  const before = reminderMails().length;
  await remind();
  // The server keeps the mail and its answer is lost.
  world.mail.behave({ kind: 'drop', at: 'content', kept: true });
  const consumer = start();
  await publish(world.clients, world.queue, await outboxBodies());
  await eventually(async () => {
    expect(await remindersOf(ids)).toMatchObject([{ state: 'sent', attempts: 1 }]);
    expect(await depth(world.emulator, world.queue.name)).toBe(0);
  });
  expect(consumer.lines().find((line) => line['purpose'] === 'reminder')).toMatchObject({
    result: 'in_doubt',
    outcome: 'done',
  });
  world.mail.behave({ kind: 'accept' });
  await publish(world.clients, world.queue, await outboxBodies());
  await eventually(async () => expect(await depth(world.emulator, world.queue.name)).toBe(0));
  expect(reminderMails().length).toBe(before + 1);
  expect(await deadLetters(world.emulator, world.queue)).toEqual([]);
});

test('P55: a reminder that the server refused before taking it is tried again, and sent once', async () => {
  const ids = await deliveredGifts(1);
  const before = reminderMails().length;
  await remind();
  let asked = 0;
  world.mail.behave(({ at }) => {
    if (at === 'recipient') asked += 1;
    return asked <= 2 ? { kind: 'reply', at: 'recipient', code: 451 } : { kind: 'accept' };
  });
  start();
  await publish(world.clients, world.queue, await outboxBodies());
  await eventually(async () =>
    expect(await remindersOf(ids)).toMatchObject([{ state: 'sent', attempts: 3 }]),
  );
  expect(reminderMails().length).toBe(before + 1);
});

test('P55: a reminder whose retries are used up ends for good and leaves no dead letter', async () => {
  const ids = await deliveredGifts(1);
  await remind();
  world.mail.behave({ kind: 'reply', at: 'recipient', code: 451 });
  start({ MAX_RETRY_COUNT: '1' });
  await publish(world.clients, world.queue, await outboxBodies());
  await eventually(async () => {
    expect(await remindersOf(ids)).toMatchObject([{ state: 'failed', attempts: 2 }]);
    expect(await depth(world.emulator, world.queue.name)).toBe(0);
  });
  expect(await deadLetters(world.emulator, world.queue)).toEqual([]);
});

test('P55: a reminder whose worker died in the middle of it is left unsent rather than sent twice', async () => {
  const ids = await deliveredGifts(1);
  const before = reminderMails().length;
  await remind();
  // As a worker that was killed leaves it: claimed, its lease long over, its message back in the queue.
  await world.database.db
    .updateTable('deliveries')
    .set({ state: 'sending', attempts: 1, lease_until: new Date(Date.now() - 60_000) })
    .where('purpose', '=', 'reminder')
    .where('gift_id', '=', toUuid(ids[0] as GiftId))
    .execute();
  const consumer = start();
  await publish(world.clients, world.queue, await outboxBodies());
  await eventually(async () => expect(await depth(world.emulator, world.queue.name)).toBe(0));
  expect(consumer.lines().find((line) => line['delivery_id'] !== undefined)).toMatchObject({
    result: 'repeat',
  });
  expect(reminderMails().length).toBe(before);
});
