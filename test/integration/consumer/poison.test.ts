import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newId } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { accept, draftGift, fundedSender } from '../../support/gifts.ts';
import { envelopes, metricValue, publish } from './consumer-under-test.ts';
import { createWorld, deadLetters, depth, storyOf, type World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await createWorld();
});

afterAll(() => world.end());

const envelope = (changes: Record<string, unknown>) =>
  JSON.stringify({
    type: 'gift.deliver',
    version: 1,
    id: newId('gft'),
    occurred_at: new Date().toISOString(),
    attempt_hint: 0,
    ...changes,
  });

test('P12: one poison message in a batch does not roll back or delay the other nine', async () => {
  const { database, clients, queue, emulator } = world;
  const sender = await fundedSender(database.db);
  const drafts = Array.from({ length: 9 }, () => draftGift(sender));
  const { gifts, outbox } = await accept(database.db, drafts, envelopes);
  const bodies = outbox.map(({ body }) => ({ body }));
  await publish(clients, queue, [...bodies.slice(0, 4), { body: '{"type": 1' }, ...bodies.slice(4)]);
  const consumer = world.start();

  await eventually(async () => {
    const states = await Promise.all(gifts.map(({ id }) => storyOf(database, id)));
    expect(states.map(({ gift }) => gift.state)).toEqual(gifts.map(() => 'delivered'));
  });
  await eventually(async () => expect(await depth(emulator, queue.name)).toBe(0));
  expect(await deadLetters(emulator, queue)).toEqual([
    { body: '{"type": 1', class: 'poison', reason: 'envelope_unreadable' },
  ]);
  // Each of the nine was handled at its first receive: nobody waited for, or was retried with, the tenth.
  const lines = consumer.lines().filter((line) => line['event'] === 'message_handled');
  expect(lines.map((line) => line['receive_count'])).toEqual(lines.map(() => 1));
  expect(lines.map((line) => line['result']).sort()).toEqual([...gifts.map(() => 'delivered'), 'poison']);
  expect(await metricValue(consumer.metrics, 'gifts_dead_lettered_total', { class: 'poison' })).toBe(1);
  await consumer.shutDown();
});

test('P12: a gift whose row the database refuses fails alone, not with those received together with it', async () => {
  const { database, clients, queue, emulator } = world;
  const { db } = database;
  const sender = await fundedSender(db);
  const { gifts, outbox } = await accept(
    db,
    Array.from({ length: 5 }, () => draftGift(sender)),
    envelopes,
  );
  const [broken, ...sound] = gifts;
  if (!broken) throw new Error('no gift');
  const story = await storyOf(database, broken.id);
  // Its voucher can not be minted, so the statement that claims all five is refused.
  await refuseVoucherOf(story.gift.id);
  await publish(clients, queue, outbox);
  const consumer = world.start();
  await eventually(async () => {
    const stories = await Promise.all(sound.map(({ id }) => storyOf(database, id)));
    expect(stories.map(({ gift }) => gift.state)).toEqual(sound.map(() => 'delivered'));
  });
  const line = await eventually(() => {
    const found = consumer.lines().find((entry) => entry['result'] === 'unclaimed');
    expect(found).toBeDefined();
    return found;
  });
  expect(line).toMatchObject({ outcome: 'retry', class: 'unknown' });
  expect((await storyOf(database, broken.id)).gift.state).toBe('queued');
  await consumer.shutDown();
  expect(await depth(emulator, queue.name)).toBe(1);
});

test('P12: nor does one over which the server stumbles without a word for it stop or pause its neighbours', async () => {
  const { database, clients, queue } = world;
  const { db } = database;
  const sender = await fundedSender(db);
  const { gifts, outbox } = await accept(
    db,
    Array.from({ length: 5 }, () => draftGift(sender)),
    envelopes,
  );
  const [broken, ...sound] = gifts;
  if (!broken) throw new Error('no gift');
  await stumbleOverVoucherOf((await storyOf(database, broken.id)).gift.id);
  await publish(clients, queue, outbox);
  const consumer = world.start();
  const unclaimed = () => consumer.lines().filter((entry) => entry['result'] === 'unclaimed');
  await eventually(async () => {
    const stories = await Promise.all(sound.map(({ id }) => storyOf(database, id)));
    expect(stories.map(({ gift }) => gift.state)).toEqual(sound.map(() => 'delivered'));
  });
  // Alone with its kind, it is tried again and again: that is no database that is away.
  await eventually(() => expect(unclaimed().length).toBeGreaterThanOrEqual(3), { timeoutMs: 40_000 });
  expect(consumer.lines().filter((entry) => entry['event'] === 'consumption_paused')).toEqual([]);
  // Each was handled once, and not given back for the sake of the broken one.
  const isSound = (entry: Record<string, unknown>) => sound.some(({ id }) => id === entry['gift_id']);
  const handled = consumer.lines().filter((entry) => entry['event'] === 'message_handled');
  expect(handled.filter(isSound).map((entry) => entry['result'])).toEqual(sound.map(() => 'delivered'));
  await consumer.shutDown();
});

test.each([
  ['the id of something else', envelope({ id: newId('dlv') }), 'message_unknown'],
  ['a version that is none', envelope({ version: 'one' }), 'envelope_unreadable'],
  ['no JSON', 'not JSON', 'envelope_unreadable'],
])('a message with %s is dead-lettered as poison', async (_what, body, reason) => {
  const consumer = world.start();
  await publish(world.clients, world.queue, [{ body }]);
  await eventually(async () => {
    const found = (await deadLetters(world.emulator, world.queue)).find((letter) => letter.body === body);
    expect(found).toEqual({ body, class: 'poison', reason });
  });
  await consumer.shutDown();
});

/** As a damaged value does: "invalid memory alloc request size 18446744073709551613". */
async function stumbleOverVoucherOf(giftId: string): Promise<void> {
  const { pool } = world.database;
  await pool.query(`create function stumble() returns trigger language plpgsql as $$
    begin raise exception 'invalid memory alloc request size' using errcode = 'XX000'; end $$`);
  await pool.query(`create trigger stumble before insert on vouchers for each row
    when (new.gift_id = '${giftId}') execute function stumble()`);
}

async function refuseVoucherOf(giftId: string): Promise<void> {
  const { pool } = world.database;
  await pool.query(`alter table vouchers add constraint refused check (gift_id <> '${giftId}')`);
}
