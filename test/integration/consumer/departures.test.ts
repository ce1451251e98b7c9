import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { accept, draftGift, fundedSender } from '../../support/gifts.ts';
import { envelopes, metricValue, publish, type TestedConsumer } from './consumer-under-test.ts';
import { createWorld, storyOf, type World } from './world.ts';

let world: World;
let consumer: TestedConsumer | undefined;

beforeAll(async () => {
  world = await createWorld();
});
afterEach(async () => {
  world.mail.behave({ kind: 'accept' });
  await consumer?.shutDown();
  consumer = undefined;
});
afterAll(() => world.end());

async function sendOne(): Promise<{ id: GiftId; copies: () => number }> {
  const { database, clients, queue, mail } = world;
  const sender = await fundedSender(database.db, 10_000);
  const email = `${crypto.randomUUID()}@example.com`;
  const draft = draftGift(sender, { recipient: { kind: 'email', email } });
  const { gifts, outbox } = await accept(database.db, [draft], envelopes);
  await publish(clients, queue, outbox);
  const copies = () => mail.mails().filter(({ to }) => to.includes(email)).length;
  return { id: gifts[0]?.id as GiftId, copies };
}

const storyOfGift = (id: GiftId) => storyOf(world.database, id);

test('a mail waits for the row that somebody holds, and leaves when it is on record that it may be out', async () => {
  const { pool } = world.database;
  // Held from the first moment that it is there.
  await sql`
    create function slow_mark() returns trigger language plpgsql as $$
    begin
      perform pg_advisory_xact_lock(4711);
      return new;
    end $$`.execute(world.database.db);
  await sql`
    create trigger slow_mark before update of maybe_out_since on deliveries for each row
      when (new.maybe_out_since is not null) execute function slow_mark()`.execute(world.database.db);
  const holder = await pool.connect();
  await holder.query('begin');
  await holder.query('select pg_advisory_xact_lock(4711)');
  const marks = async () =>
    (await pool.query("select from pg_locks where locktype = 'advisory' and objid = 4711 and not granted"))
      .rowCount;
  consumer = world.start();
  const { id, copies } = await sendOne();
  await eventually(async () => expect(await marks()).toBe(1));
  expect(copies()).toBe(0);
  await holder.query('commit');
  holder.release();
  await eventually(async () => expect((await storyOfGift(id)).gift.state).toBe('delivered'));
  expect(copies()).toBe(1);
  await pool.query('drop trigger slow_mark on deliveries');
});

test.each([
  ['57P03', 'interrupted'],
  ['23514', 'retry'],
])('a mail that can not be put on record (%s) does not leave: %s', async (sqlState, outcome) => {
  const { db, pool } = world.database;
  await sql`
    create or replace function refuse_mark() returns trigger language plpgsql as $$
    begin
      raise exception 'no mark' using errcode = ${sql.lit(sqlState)}, constraint = 'refused';
    end $$`.execute(db);
  await sql`
    create trigger refuse_mark before update of maybe_out_since on deliveries for each row
      when (new.maybe_out_since is not null) execute function refuse_mark()`.execute(db);
  consumer = world.start({ SMTP_CONTENT_TIMEOUT_SECONDS: '6' });
  const { id, copies } = await sendOne();
  await eventually(async () => expect((await storyOfGift(id)).attempts[0]?.outcome).toBe(outcome), {
    timeoutMs: 20_000,
  });
  expect(copies()).toBe(0);
  const [line] = consumer.lines().filter((entry) => entry['gift_id'] === id);
  expect(line).toMatchObject({ outcome: 'retry', error: expect.anything() });
  expect(await metricValue(consumer.metrics, 'mails_sent_total', { outcome: 'not_begun' })).toBeGreaterThan(
    0,
  );
  // Not the fault of the mail server: nothing is paused.
  expect(consumer.lines().map(({ event }) => event)).not.toContain('consumption_paused');
  await pool.query('drop trigger refuse_mark on deliveries');
  await eventually(async () => expect((await storyOfGift(id)).gift.state).toBe('delivered'), {
    timeoutMs: 20_000,
  });
  expect(copies()).toBe(1);
});

test('a worker that was overtaken before its mail left sends none', async () => {
  const { promise: after, resolve: release } = Promise.withResolvers<void>();
  const heldBefore = world.mail.held();
  world.mail.behave({ kind: 'accept', after });
  consumer = world.start({ SMTP_MAX_CONNECTIONS: '1' });
  const first = await sendOne();
  await eventually(() => expect(world.mail.held()).toBe(heldBefore + 1));
  // The next one is claimed and waits for the only connection; meanwhile it becomes somebody else's.
  const { id, copies } = await sendOne();
  await eventually(async () => expect((await storyOfGift(id)).gift.state).toBe('delivering'));
  await world.database.pool.query('update deliveries set attempts = attempts + 1 where gift_id = $1', [
    toUuid(id),
  ]);
  release();
  await eventually(() => {
    const results = consumer?.lines().filter((line) => line['gift_id'] === id);
    expect(results?.map(({ result }) => result)).toEqual(['overtaken']);
  });
  expect(copies()).toBe(0);
  expect(first.copies()).toBe(1);
});
