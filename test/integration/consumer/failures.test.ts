import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { newId, toUuid } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { accept, balances, draftGift, fundedSender, placeGifts } from '../../support/gifts.ts';
import { envelopes, metricValue, publish, type TestedConsumer } from './consumer-under-test.ts';
import { createWorld, deadLetters, depth, storyOf, type World } from './world.ts';

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

async function sendOne() {
  const sender = await fundedSender(world.database.db, 10_000);
  const { gifts, outbox } = await accept(world.database.db, [draftGift(sender)], envelopes);
  const id = gifts[0]?.id ?? newId('gft');
  await publish(world.clients, world.queue, outbox);
  return { sender, id };
}

const expectDeadLetter = (id: string, expected: { class: string; reason: string }) =>
  eventually(async () => {
    const found = (await deadLetters(world.emulator, world.queue)).find(({ body }) => body.includes(id));
    expect(found).toMatchObject(expected);
  });

test('a mail that is deferred is retried MAX_RETRY_COUNT times, then dead-lettered with class and reason', async () => {
  world.mail.behave({ kind: 'reply', at: 'recipient', code: 451 });
  consumer = world.start({ MAX_RETRY_COUNT: '2' });
  const { id, sender } = await sendOne();
  await expectDeadLetter(id, { class: 'transient', reason: 'mail_deferred' });

  const story = await storyOf(world.database, id);
  const failed = { class: 'transient', code: 'mail_deferred' };
  expect(story.attempts).toMatchObject([
    { number: 1, outcome: 'retry', ...failed, next_attempt_at: expect.any(Date) },
    { number: 2, outcome: 'retry', ...failed },
    { number: 3, outcome: 'dead_letter', ...failed, next_attempt_at: null },
  ]);
  expect(story.gift).toMatchObject({
    state: 'queued',
    failure_class: 'transient',
    failure_code: 'mail_deferred',
  });
  expect(story.gift.dead_lettered_at).not.toBeNull();
  expect(story.deliveries[0]?.dead_lettered_at).not.toBeNull();
  // The voucher exists, and the money is still the sender's: only a delivery commits it.
  expect(story.vouchers).toHaveLength(1);
  expect(await balances(world.database.db, sender)).toMatchObject({
    available: 7_500,
    reserved: 2_500,
    total: 0,
  });
  await eventually(async () => expect(await depth(world.emulator, world.queue.name)).toBe(0));
  const lines = consumer.lines().filter((line) => line['gift_id'] === id);
  expect(lines.map(({ attempt, result, class: found, code }) => [attempt, result, found, code])).toEqual([
    [1, 'retry', 'transient', 'mail_deferred'],
    [2, 'retry', 'transient', 'mail_deferred'],
    [3, 'dead_letter', 'transient', 'mail_deferred'],
  ]);
  expect(lines[0]).toMatchObject({
    reason: 'the mail server asked to try later (SMTP 451)',
    mail_code: 'EENVELOPE',
  });
  expect(await metricValue(consumer.metrics, 'gifts_failed_total', { class: 'transient' })).toBe(3);
  expect(await metricValue(consumer.metrics, 'gifts_retried_total', { class: 'transient' })).toBe(2);
  expect(await metricValue(consumer.metrics, 'gifts_dead_lettered_total', { class: 'transient' })).toBe(1);
});

test('a recipient that the server refuses for good is dead-lettered at the first attempt', async () => {
  world.mail.behave({ kind: 'reply', at: 'recipient', code: 550 });
  consumer = world.start();
  const { id } = await sendOne();
  await expectDeadLetter(id, { class: 'permanent', reason: 'recipient_refused' });
  expect((await storyOf(world.database, id)).attempts).toMatchObject([
    { number: 1, outcome: 'dead_letter', class: 'permanent', code: 'recipient_refused' },
  ]);
});

test('a refusal that does not speak of the recipient is tried again, never final, and names no address anywhere', async () => {
  world.mail.behave({ kind: 'reply', at: 'content', code: 554 });
  consumer = world.start({ MAX_RETRY_COUNT: '1' });
  const { id } = await sendOne();
  await expectDeadLetter(id, { class: 'unknown', reason: 'mail_refused' });
  expect((await storyOf(world.database, id)).attempts).toMatchObject([
    { number: 1, outcome: 'retry', class: 'unknown', code: 'mail_refused' },
    { number: 2, outcome: 'dead_letter' },
  ]);
  expect(JSON.stringify(consumer.lines())).not.toContain('ada@example.com');
});

test('a gift survives a mail server that is away, and is sent once when it is back', async () => {
  await world.mail.stop();
  const before = world.mail.mails().length;
  consumer = world.start({ MAX_RETRY_COUNT: '50', RETRY_BASE_MS: '100', RETRY_CAP_MS: '500' });
  const { id } = await sendOne();
  await eventually(async () => {
    const { attempts } = await storyOf(world.database, id);
    expect(attempts[0]).toMatchObject({ outcome: 'retry', class: 'transient', code: 'mail_unreachable' });
  });
  await world.mail.start();
  await eventually(async () => expect((await storyOf(world.database, id)).gift.state).toBe('delivered'), {
    timeoutMs: 20_000,
  });
  expect(world.mail.mails().length).toBe(before + 1);
});

test('P10: a mail server that hangs costs an attempt and no more: the signal ends it within the lease', async () => {
  let asked = 0;
  world.mail.behave(({ at }) => {
    if (at === 'recipient') asked += 1;
    return asked <= 1 ? { kind: 'hang', at: 'recipient' } : { kind: 'accept' };
  });
  consumer = world.start({ SMTP_COMMAND_TIMEOUT_SECONDS: '2', LEASE_SECONDS: '4' });
  const { id } = await sendOne();
  await eventually(async () => expect((await storyOf(world.database, id)).gift.state).toBe('delivered'), {
    timeoutMs: 20_000,
  });
  const { attempts } = await storyOf(world.database, id);
  expect(attempts).toMatchObject([
    { outcome: 'retry', class: 'transient' },
    { outcome: 'sent', number: 2 },
  ]);
});

test('every copy of a mail carries the same Message-ID and the same link', async () => {
  let asked = 0;
  world.mail.behave(({ at }) => {
    if (at === 'content') asked += 1;
    return asked <= 1 ? { kind: 'drop', at: 'content', kept: true } : { kind: 'accept' };
  });
  const before = world.mail.mails().length;
  consumer = world.start({ MAIL_IN_DOUBT_PAUSE_SECONDS: '1' });
  const { id } = await sendOne();
  await eventually(
    async () =>
      expect((await storyOf(world.database, id)).attempts.map(({ outcome }) => outcome)).toEqual([
        'in_doubt',
        'sent',
      ]),
    { timeoutMs: 20_000 },
  );
  const copies = world.mail.mails().slice(before);
  expect(copies.length).toBe(2);
  expect(new Set(copies.map(({ messageId }) => messageId)).size).toBe(1);
  expect(new Set(copies.map(({ link }) => link)).size).toBe(1);
});

test('a failure that nobody foresaw is retried as unknown, and the log has its cause', async () => {
  const { db } = world.database;
  consumer = world.start({ MAX_RETRY_COUNT: '1' });
  const sender = await fundedSender(db);
  const { gifts, outbox } = await accept(db, [draftGift(sender)], envelopes);
  const id = gifts[0]?.id ?? newId('gft');
  const { gift } = await storyOf(world.database, id);
  await db
    .updateTable('recipients')
    .set({ keyring_key_id: 'lost' })
    .where('id', '=', gift.recipient_id)
    .execute();
  await publish(world.clients, world.queue, outbox);
  await expectDeadLetter(id, { class: 'unknown', reason: 'unexpected_error' });
  const line = consumer.lines().find((entry) => entry['gift_id'] === id);
  expect(JSON.stringify(line?.['error'])).toContain('the keyring has no key \\"lost\\"');
});

test('an erased recipient fails its own gift, for good', async () => {
  const { db } = world.database;
  const sender = await fundedSender(db);
  const { gifts, outbox } = await accept(db, [draftGift(sender), draftGift(sender)], envelopes);
  const [erased, sound] = gifts;
  if (!erased || !sound) throw new Error('no gifts');
  const { gift } = await storyOf(world.database, erased.id);
  await db.updateTable('recipients').set({ wrapped_key: null }).where('id', '=', gift.recipient_id).execute();
  await publish(world.clients, world.queue, outbox);
  consumer = world.start();
  await expectDeadLetter(erased.id, { class: 'permanent', reason: 'recipient_erased' });
  await eventually(async () =>
    expect((await storyOf(world.database, sound.id)).gift.state).toBe('delivered'),
  );
});

test('a gift that is cancelled while its mail is under way stays cancelled and is acknowledged', async () => {
  world.mail.behave({ kind: 'hang', at: 'recipient' });
  consumer = world.start({ SMTP_COMMAND_TIMEOUT_SECONDS: '2', LEASE_SECONDS: '4' });
  const heldBefore = world.mail.held();
  const { id } = await sendOne();
  await eventually(() => expect(world.mail.held()).toBeGreaterThan(heldBefore));
  await placeGifts(world.database.db, [toUuid(id)], { state: 'cancelled', lease_until: null });
  await eventually(async () => expect(await depth(world.emulator, world.queue.name)).toBe(0), {
    timeoutMs: 15_000,
  });
  const { gift, transfers } = await storyOf(world.database, id);
  expect(gift.state).toBe('cancelled');
  expect(transfers).toEqual(['reserve']);
});

test('P22: an outcome that can not be recorded is never acknowledged, and its mail is sent once however often it is tried', async () => {
  const { pool } = world.database;
  const before = world.mail.mails().length;
  await pool.query(`alter table ledger_transfers add constraint refused check (kind <> 'commit') not valid`);
  consumer = world.start({ LEASE_SECONDS: '1', MAIL_IN_DOUBT_PAUSE_SECONDS: '1' });
  const { id, sender } = await sendOne();
  const linesOf = (result: string) =>
    consumer?.lines().filter((line) => line['gift_id'] === id && line['result'] === result);
  await eventually(() => expect(linesOf('unsettled')?.length).toBeGreaterThanOrEqual(3), {
    timeoutMs: 25_000,
  });
  for (const line of linesOf('unsettled') ?? []) {
    expect(line['outcome']).toBe('retry');
    expect(line['retry_delay_seconds']).toBeGreaterThanOrEqual(1);
  }
  expect(await depth(world.emulator, world.queue.name)).toBe(1);
  const { gift, attempts } = await storyOf(world.database, id);
  expect(gift.state).toBe('delivering');
  expect(attempts).toMatchObject([{ number: 1, outcome: 'started' }]);
  expect(world.mail.mails()).toHaveLength(before + 1);

  await pool.query('alter table ledger_transfers drop constraint refused');
  await eventually(
    async () =>
      expect((await storyOf(world.database, id)).attempts).toMatchObject([
        { outcome: 'in_doubt', code: 'worker_lost' },
        { outcome: 'sent' },
      ]),
    { timeoutMs: 20_000 },
  );
  const copies = world.mail.mails().slice(before);
  expect(copies).toHaveLength(2);
  expect(new Set(copies.map(({ messageId, link }) => `${messageId} ${link}`)).size).toBe(1);
  expect(await balances(world.database.db, sender)).toMatchObject({
    available: 7_500,
    reserved: 0,
    total: 0,
  });
});
