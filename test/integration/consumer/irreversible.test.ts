import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { accept, draftGift, fundedSender } from '../../support/gifts.ts';
import { envelopes, metricValue, publish } from './consumer-under-test.ts';
import { createWorld, storyOf, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await createWorld({ visibilityTimeoutSeconds: 4 });
});
afterEach(() => world.mail.behave({ kind: 'accept' }));
afterAll(() => world.end());

/** So short that every wait below is longer than both. */
const impatient = { SMTP_COMMAND_TIMEOUT_SECONDS: '1', LEASE_SECONDS: '2', VISIBILITY_TIMEOUT_SECONDS: '4' };

async function sendGifts(count: number): Promise<GiftId[]> {
  const { database, clients, queue } = world;
  const sender = await fundedSender(database.db);
  const drafts = Array.from({ length: count }, () => draftGift(sender));
  const { gifts, outbox } = await accept(database.db, drafts, envelopes);
  await publish(clients, queue, outbox);
  return gifts.map(({ id }) => id);
}

const mailsOf = () => world.mail.mails().length;

/** From now on, every record of an outcome fails in the database's own words. */
async function refuseToRecord(sqlState: string): Promise<() => Promise<void>> {
  const { db } = world.database;
  await sql`
    create or replace function refuse_for_a_while() returns trigger language plpgsql as $$
    begin
      raise exception 'not now' using errcode = ${sql.lit(sqlState)};
    end $$`.execute(db);
  await sql`
    create trigger refuse_for_a_while before update on delivery_attempts for each row
      when (old.outcome = 'started') execute function refuse_for_a_while()`.execute(db);
  return async () => {
    await sql`drop trigger refuse_for_a_while on delivery_attempts`.execute(db);
  };
}

const sqlStates = [
  '25006',
  '55000',
  '0A000',
  '26000',
  '42P01',
  '53100',
  '57P03',
  '58030',
  'XX000',
  'P0001',
  'ZZ999',
];

test.each(sqlStates)(
  'after the irreversible step %s is waited for, past the deadline of the handler: one mail',
  async (sqlState) => {
    const before = mailsOf();
    const heal = await refuseToRecord(sqlState);
    const consumer = world.start(impatient);
    const [id] = await sendGifts(1);
    await eventually(async () =>
      expect(await metricValue(consumer.metrics, 'settle_retries_total')).toBeGreaterThanOrEqual(5),
    );
    await heal();
    await eventually(async () =>
      expect((await storyOf(world.database, id as GiftId)).gift.state).toBe('delivered'),
    );
    await eventually(() => expect(consumer.inFlight()).toBe(0));
    expect(mailsOf()).toBe(before + 1);
    expect((await storyOf(world.database, id as GiftId)).attempts).toHaveLength(1);
    expect(consumer.lines().map(({ event }) => event)).toContain('settle_waits');
    await consumer.shutDown();
  },
);

test('one locked gift waits alone: the others are recorded at once, and nobody is written to twice', async () => {
  const { promise: after, resolve: release } = Promise.withResolvers<void>();
  world.mail.behave({ kind: 'accept', after });
  const before = { mails: mailsOf(), held: world.mail.held() };
  const consumer = world.start({
    ...impatient,
    SMTP_COMMAND_TIMEOUT_SECONDS: '3',
    LEASE_SECONDS: '4',
    SMTP_MAX_CONNECTIONS: '20',
  });
  const ids = await sendGifts(20);
  await eventually(() => expect(world.mail.held()).toBe(before.held + ids.length));
  const holder = await world.database.pool.connect();
  await holder.query('begin');
  const locked = ids[7] as GiftId;
  await holder.query('select from gifts where id = $1 for update', [toUuid(locked)]);
  release();
  const stateOf = async (id: GiftId) => (await storyOf(world.database, id)).gift.state;
  await eventually(async () => {
    const states = await Promise.all(ids.map(stateOf));
    expect(states.filter((state) => state === 'delivered')).toHaveLength(ids.length - 1);
  });
  await eventually(async () =>
    expect(await metricValue(consumer.metrics, 'settle_retries_total')).toBeGreaterThanOrEqual(6),
  );
  await holder.query('rollback');
  holder.release();
  await eventually(async () => expect(await stateOf(locked)).toBe('delivered'));
  await eventually(() => expect(consumer.inFlight()).toBe(0));
  expect(mailsOf()).toBe(before.mails + ids.length);
  await consumer.shutDown();
});
