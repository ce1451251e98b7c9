import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { duplicate, hang } from '../../support/faults.ts';
import { accept, balances, draftGift, type FundedSender, fundedSender } from '../../support/gifts.ts';
import { envelopes, metricValue, publish } from './consumer-under-test.ts';
import { createWorld, depth, storyOf, type World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await createWorld({ visibilityTimeoutSeconds: 5 });
});

afterAll(() => world.end());

/** One voucher, one charge, one story, one mail: whatever the queue did. */
async function expectOneEffect(giftId: GiftId, sender: FundedSender, mailsBefore: number): Promise<void> {
  const { database, mail, emulator, queue } = world;
  const story = await storyOf(database, giftId);
  expect(story.gift.state).toBe('delivered');
  expect(story.vouchers).toHaveLength(1);
  expect(story.transfers).toEqual(['commit', 'reserve']);
  expect(story.deliveries).toHaveLength(1);
  expect(story.attempts.map(({ outcome }) => outcome)).toEqual(['sent']);
  const told = await database.db
    .selectFrom('audit_records')
    .select('action')
    .where('subject_id', '=', toUuid(giftId))
    .execute();
  expect(told.filter(({ action }) => action === 'gift.delivered')).toHaveLength(1);
  expect(mail.mails().length).toBe(mailsBefore + 1);
  expect(await balances(database.db, sender)).toMatchObject({ available: 7_500, reserved: 0, total: 0 });
  expect(await depth(emulator, queue.name)).toBe(0);
}

async function acceptOne() {
  const sender = await fundedSender(world.database.db, 10_000);
  const { gifts, outbox } = await accept(world.database.db, [draftGift(sender)], envelopes);
  const [gift] = gifts;
  if (!gift) throw new Error('no gift');
  return { sender, gift, outbox, mailsBefore: world.mail.mails().length };
}

const handled = (lines: Record<string, unknown>[], id: GiftId) =>
  lines.filter((line) => line['gift_id'] === id).map((line) => line['result']);

test('P13: the same message delivered twice in one receive has exactly one business effect', async () => {
  const { gift, sender, outbox, mailsBefore } = await acceptOne();
  world.proxy.inject({ operation: 'ReceiveMessage', fault: duplicate({ copies: 1, at: 'once' }), times: 1 });
  await publish(world.clients, world.queue, outbox);
  const consumer = world.start({ LEASE_SECONDS: '2', SMTP_COMMAND_TIMEOUT_SECONDS: '1' });
  await eventually(() => expect(handled(consumer.lines(), gift.id).length).toBeGreaterThanOrEqual(2));
  await eventually(() => expectOneEffect(gift.id, sender, mailsBefore), { timeoutMs: 20_000 });
  expect(handled(consumer.lines(), gift.id).sort()).toEqual(['delivered', 'leased']);
  world.proxy.heal();
  await consumer.shutDown();
});

test('P13: the same message delivered again, before or after its delete, has exactly one business effect', async () => {
  const { gift, sender, outbox, mailsBefore } = await acceptOne();
  world.proxy.inject({ operation: 'ReceiveMessage', fault: duplicate({ at: 'next-receive' }), times: 3 });
  await publish(world.clients, world.queue, outbox);
  const consumer = world.start({ LEASE_SECONDS: '2', SMTP_COMMAND_TIMEOUT_SECONDS: '1' });
  await eventually(() => expect(handled(consumer.lines(), gift.id).length).toBeGreaterThanOrEqual(2));
  await eventually(() => expectOneEffect(gift.id, sender, mailsBefore), { timeoutMs: 20_000 });
  world.proxy.heal();
  // And once more as a message of its own, as a relay sends it that crashed between send and mark.
  const before = handled(consumer.lines(), gift.id).length;
  await publish(world.clients, world.queue, outbox);
  await eventually(() => expect(handled(consumer.lines(), gift.id).slice(before)).toEqual(['repeat']));
  await eventually(() => expectOneEffect(gift.id, sender, mailsBefore));
  expect(await metricValue(consumer.metrics, 'gifts_processed_total', { outcome: 'delivered' })).toBe(1);
  await consumer.shutDown();
});

test('P13: two processes that hold a copy each send one mail between them', async () => {
  const { gift, sender, outbox, mailsBefore } = await acceptOne();
  const env = { LEASE_SECONDS: '2', SMTP_COMMAND_TIMEOUT_SECONDS: '1' };
  const consumers = [world.start(env), world.start(env)];
  await Promise.all([
    publish(world.clients, world.queue, outbox),
    publish(world.clients, world.queue, outbox),
  ]);
  await eventually(() => expectOneEffect(gift.id, sender, mailsBefore), { timeoutMs: 20_000 });
  const results = consumers.flatMap((consumer) => handled(consumer.lines(), gift.id));
  expect(results.filter((result) => result === 'delivered')).toHaveLength(1);
  await Promise.all(consumers.map((consumer) => consumer.shutDown()));
});

test('P13: a delete that is lost brings the message back, and nothing but the message', async () => {
  const { gift, sender, outbox, mailsBefore } = await acceptOne();
  const lost = world.proxy.inject({ operation: 'DeleteMessageBatch', fault: hang() });
  const first = world.start();
  await publish(world.clients, world.queue, outbox);
  await eventually(() => expect(lost.hits()).toBeGreaterThan(0));
  await first.shutDown();
  const second = world.start();
  await eventually(() => expect(handled(second.lines(), gift.id)[0]).toBe('repeat'), { timeoutMs: 15_000 });
  lost.remove();
  await eventually(() => expectOneEffect(gift.id, sender, mailsBefore), { timeoutMs: 20_000 });
  await second.shutDown();
});
