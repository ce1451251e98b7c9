import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { claimToken } from '../../../services/domain/gifts/claim-token.ts';
import { resendGift } from '../../../services/domain/gifts/resend-gift.ts';
import { fromUuid, type GiftId, newId, toUuid } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import {
  accept,
  balances,
  draftGift,
  type FundedSender,
  fundedSender,
  keyring,
} from '../../support/gifts.ts';
import { envelopes, metricValue, publish, type TestedConsumer } from './consumer-under-test.ts';
import { createWorld, deadLetters, depth, storyOf, type World } from './world.ts';

let world: World;
let consumer: TestedConsumer;

beforeAll(async () => {
  world = await createWorld();
  consumer = world.start();
});

afterAll(() => world.end());

/** Gifts whose time to delivery was measured. */
async function deliveriesTimed(): Promise<number> {
  const { body } = await consumer.metrics.render();
  return Number(/^largesse_gift_delivery_seconds_count (\d+)$/m.exec(body)?.[1]);
}

describe('a gift by e-mail', () => {
  test('is mailed with its claim link, delivered, paid and acknowledged', async () => {
    const { database, mail, queue, clients } = world;
    const sender = await fundedSender(database.db, 10_000);
    const draft = draftGift(sender, { requestId: 'req-1' });
    const { gifts, outbox } = await accept(database.db, [draft], envelopes);
    const [gift] = gifts;
    if (!gift) throw new Error('no gift');
    await publish(clients, queue, outbox);
    const story = await eventually(async () => {
      const told = await storyOf(database, gift.id);
      expect(told.gift.state).toBe('delivered');
      return told;
    });
    expect(story).toMatchObject({
      vouchers: [{ amount_minor: 2_500, balance_minor: 2_500, state: 'active' }],
      deliveries: [{ state: 'sent', attempts: 1, purpose: 'gift', lease_until: null }],
      attempts: [{ number: 1, outcome: 'sent', class: null, receive_count: 1 }],
      transfers: ['commit', 'reserve'],
    });
    expect(await balances(database.db, sender)).toMatchObject({ available: 7_500, reserved: 0, total: 0 });

    const [sent] = mail.mails();
    expect(sent?.subject).toBe('Charles sent you a gift of €25.00');
    expect(sent?.link).toBe(`https://gifts.example.com/claim/${claimToken(keyring, gift.id, 1)}`);
    expect(sent?.text).toContain('> Well done');
    expect(sent?.html).toContain('Well done');
    const deliveryId = fromUuid('dlv', story.deliveries[0]?.id ?? '');
    expect(sent?.messageId).toBe(`<${deliveryId}@mail.example.com>`);
    expect(sent?.headers.get('auto-submitted')).toBe('auto-generated');

    await eventually(async () => expect(await depth(world.emulator, queue.name)).toBe(0));
    const [line] = consumer.lines().filter((entry) => entry['gift_id'] === gift.id);
    expect(line).toMatchObject({
      event: 'message_handled',
      result: 'delivered',
      outcome: 'done',
      request_id: 'req-1',
      delivery_id: deliveryId,
      attempt: 1,
      receive_count: 1,
      purpose: 'gift',
      message_id: story.attempts[0]?.message_id,
      duration_ms: expect.any(Number),
      waited_seconds: expect.any(Number),
    });
    expect(await deliveriesTimed()).toBe(1);
    expect(await metricValue(consumer.metrics, 'gifts_processed_total', { outcome: 'delivered' })).toBe(1);
    expect(await metricValue(consumer.metrics, 'mails_sent_total', { outcome: 'sent' })).toBe(1);
    expect(consumer.health()).toMatchObject({ ok: true, reachable: true });
  });
});

describe('a gift to a wallet', () => {
  test('is delivered without a mail', async () => {
    const { database, mail, queue, clients } = world;
    const before = mail.mails().length;
    const sender = await fundedSender(database.db);
    const address = '0x52908400098527886E0F7030069857D2E4169EE7';
    const draft = draftGift(sender, { recipient: { kind: 'wallet', address, chainId: 1 } });
    const { gifts, outbox } = await accept(database.db, [draft], envelopes);
    await publish(clients, queue, outbox);
    await eventually(async () => {
      const { gift, deliveries } = await storyOf(database, gifts[0]?.id ?? newId('gft'));
      expect([gift.state, deliveries[0]?.channel, deliveries[0]?.state]).toEqual([
        'delivered',
        'wallet',
        'sent',
      ]);
    });
    expect(mail.mails().length).toBe(before);
  });
});

describe('a resend', () => {
  async function resendOf(giftId: GiftId, sender: FundedSender) {
    const policy = { cooldownSeconds: 0, limit: 5 };
    const unkeyed = { key: null, answerOf: () => ({ status: 202, body: null, location: null }) };
    const request = { ...sender, giftId, requestId: 'req-resend', ...unkeyed };
    const resent = await resendGift(world.database.db, { outbox: envelopes, policy }, request);
    if (resent.kind !== 'done') throw new Error(`not resent: ${resent.kind}`);
    await publish(world.clients, world.queue, [resent.result.outboxRow]);
  }

  async function deliveredGift(email: string) {
    const sender = await fundedSender(world.database.db);
    const draft = draftGift(sender, { recipient: { kind: 'email', email } });
    const { gifts, outbox } = await accept(world.database.db, [draft], envelopes);
    await publish(world.clients, world.queue, outbox);
    const id = gifts[0]?.id ?? newId('gft');
    await eventually(async () => expect((await storyOf(world.database, id)).gift.state).toBe('delivered'));
    return { id, sender };
  }

  test('carries the same link under a Message-ID of its own, and moves no money', async () => {
    const { id, sender } = await deliveredGift('again@example.com');
    await resendOf(id, sender);
    const mails = await eventually(() => {
      const found = world.mail.mails().filter(({ to }) => to.includes('again@example.com'));
      expect(found).toHaveLength(2);
      return found;
    });
    expect(new Set(mails.map(({ link }) => link)).size).toBe(1);
    expect(new Set(mails.map(({ messageId }) => messageId)).size).toBe(2);
    expect(mails[1]?.subject).toContain('sent again');
    await eventually(async () => {
      const { deliveries, transfers } = await storyOf(world.database, id);
      expect(deliveries.map(({ purpose, state }) => [purpose, state])).toEqual([
        ['gift', 'sent'],
        ['resend', 'sent'],
      ]);
      expect(transfers).toEqual(['commit', 'reserve']);
    });
  });

  test('that is refused for good is dead-lettered, and the gift stays delivered', async () => {
    const { id, sender } = await deliveredGift('moved-away@example.com');
    world.mail.behave({ kind: 'reply', at: 'recipient', code: 550 });
    await resendOf(id, sender);
    await eventually(async () => {
      const { gift, deliveries } = await storyOf(world.database, id);
      expect([gift.state, gift.dead_lettered_at]).toEqual(['delivered', null]);
      expect(deliveries[1]).toMatchObject({ purpose: 'resend', state: 'deferred' });
      expect(deliveries[1]?.dead_lettered_at).not.toBeNull();
      const found = await deadLetters(world.emulator, world.queue);
      expect(found.at(-1)).toMatchObject({ class: 'permanent', reason: 'recipient_refused' });
    });
    world.mail.behave({ kind: 'accept' });
  });
});

describe('a message that asks for nothing that can be done', () => {
  const send = (id: string, type = 'gift.deliver') =>
    publish(world.clients, world.queue, [
      {
        body: JSON.stringify({
          type,
          version: 1,
          id,
          occurred_at: new Date().toISOString(),
          attempt_hint: 0,
        }),
      },
    ]);

  test('of a gift that does not exist is dead-lettered as permanent', async () => {
    const id = newId('gft');
    await send(id);
    await eventually(async () => {
      const found = (await deadLetters(world.emulator, world.queue)).find(({ body }) => body.includes(id));
      expect(found).toMatchObject({ class: 'permanent', reason: 'gift_not_found' });
    });
  });

  test('of a delivery that does not exist is dead-lettered as permanent', async () => {
    const id = newId('dlv');
    await send(id, 'delivery.send');
    await eventually(async () => {
      const found = (await deadLetters(world.emulator, world.queue)).find(({ body }) => body.includes(id));
      expect(found).toMatchObject({ class: 'permanent', reason: 'delivery_not_found' });
    });
  });

  test('of a gift that is scheduled for later is done with: the schedule will queue it', async () => {
    const sender = await fundedSender(world.database.db);
    const deliverAt = new Date(Date.now() + 3_600_000);
    const { gifts } = await accept(world.database.db, [draftGift(sender, { deliverAt })], envelopes);
    const id = gifts[0]?.id ?? newId('gft');
    await send(id);
    await eventually(() => {
      const line = consumer.lines().find((entry) => entry['gift_id'] === id);
      expect(line).toMatchObject({ result: 'not_due', outcome: 'done' });
    });
    expect((await storyOf(world.database, id)).gift.state).toBe('scheduled');
    await eventually(async () => expect(await depth(world.emulator, world.queue.name)).toBe(0));
  });

  test('of a gift that another worker holds comes back when its lease is over', async () => {
    const { db } = world.database;
    const sender = await fundedSender(db);
    const { gifts } = await accept(db, [draftGift(sender)], envelopes);
    const id = gifts[0]?.id ?? newId('gft');
    await db
      .updateTable('gifts')
      .set({ state: 'delivering', lease_until: new Date(Date.now() + 1_500) })
      .where('id', '=', toUuid(id))
      .execute();
    await send(id);
    await eventually(async () => expect((await storyOf(world.database, id)).gift.state).toBe('delivered'));
    const results = consumer
      .lines()
      .filter((entry) => entry['gift_id'] === id)
      .map((entry) => entry['result']);
    expect(results).toEqual(['leased', 'delivered']);
  });
});

describe('the messages of one receive', () => {
  test('are claimed by one statement and settled by few, and nothing is held while their mails are under way', async () => {
    const { database, mail, queue, clients } = world;
    await consumer.shutDown();
    const sender = await fundedSender(database.db);
    const drafts = Array.from({ length: 10 }, () => draftGift(sender));
    const { gifts, outbox } = await accept(database.db, drafts, envelopes);
    await publish(clients, queue, outbox);
    const { promise: after, resolve: release } = Promise.withResolvers<void>();
    mail.behave({ kind: 'accept', after });
    const heldBefore = mail.held();
    consumer = world.start();
    await eventually(() => expect(mail.held()).toBe(heldBefore + gifts.length));

    const ids = gifts.map(({ id }) => toUuid(id));
    // Rows of one transaction share its number.
    const transactionsThatWrote = async (table: string, where: string) => {
      const { rows } = await database.pool.query(
        `select count(*)::integer as rows, count(distinct xmin::text)::integer as transactions
          from ${table} where gift_id = any ($1) and ${where}`,
        [ids],
      );
      return rows[0] as { rows: number; transactions: number };
    };
    expect(await transactionsThatWrote('vouchers', 'true')).toEqual({ rows: 10, transactions: 1 });
    const { rows: open } = await database.pool.query(
      `select state, query from pg_stat_activity
        where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()`,
    );
    expect(open).toEqual([]);

    release();
    await eventually(async () => {
      const { rows, transactions } = await transactionsThatWrote('ledger_transfers', `kind = 'commit'`);
      expect(rows).toBe(10);
      expect(transactions).toBeLessThanOrEqual(5);
    });
    mail.behave({ kind: 'accept' });
  });
});
