import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { readClaimLink } from '../../../services/domain/gifts/claim-link.ts';
import { claimToken } from '../../../services/domain/gifts/claim-token.ts';
import { claimVoucher } from '../../../services/domain/gifts/claim-voucher.ts';
import { type GiftId, newId } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { accept, balances, draftGift, fundedSender, keyring } from '../../support/gifts.ts';
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

/** A gift to an address of its own, and the message that asks for it. */
async function sendOne() {
  const sender = await fundedSender(world.database.db, 10_000);
  const email = `${crypto.randomUUID()}@example.com`;
  const draft = draftGift(sender, { recipient: { kind: 'email', email } });
  const { gifts, outbox } = await accept(world.database.db, [draft], envelopes);
  const id = gifts[0]?.id ?? newId('gft');
  await publish(world.clients, world.queue, outbox);
  return { sender, id, outbox, copies: () => world.mail.mails().filter(({ to }) => to.includes(email)) };
}

const attemptsOf = async (id: GiftId) => (await storyOf(world.database, id)).attempts;
const queueIsEmpty = () =>
  eventually(async () => expect(await depth(world.emulator, world.queue.name)).toBe(0), {
    timeoutMs: 20_000,
  });

describe('an outcome in doubt is not repeated like a failure', () => {
  test.each([
    ['hangs up', { kind: 'drop', at: 'content', kept: true }],
    ['falls silent', { kind: 'hang', at: 'content', kept: true }],
  ] as const)(
    'a server that %s after the content gets one copy more, and the money moves once',
    async (_what, behaviour) => {
      world.mail.behave(behaviour);
      consumer = world.start({
        MAIL_IN_DOUBT_PAUSE_SECONDS: '1',
        SMTP_ACCEPTANCE_TIMEOUT_SECONDS: '1',
        MAX_RETRY_COUNT: '10',
      });
      const { id, sender, copies } = await sendOne();
      await eventually(
        async () =>
          expect((await attemptsOf(id)).map(({ outcome }) => outcome)).toEqual(['in_doubt', 'in_doubt']),
        { timeoutMs: 20_000 },
      );
      await queueIsEmpty();
      const story = await storyOf(world.database, id);
      expect(story).toMatchObject({
        gift: { state: 'delivered', lease_until: null, dead_lettered_at: null, failure_class: null },
        deliveries: [{ state: 'sent', attempts: 2 }],
        transfers: ['commit', 'reserve'],
      });
      expect(copies()).toHaveLength(2);
      expect(new Set(copies().map(({ messageId }) => messageId)).size).toBe(1);
      expect(await balances(world.database.db, sender)).toMatchObject({
        available: 7_500,
        reserved: 0,
        total: 0,
      });
      expect(await deadLetters(world.emulator, world.queue)).toEqual([]);
      const lines = consumer.lines().filter((line) => line['gift_id'] === id);
      expect(lines.map(({ result }) => result)).toEqual(['in_doubt', 'in_doubt']);
      expect(await metricValue(consumer.metrics, 'mails_sent_total', { outcome: 'in_doubt' })).toBe(2);
    },
  );

  test('the recipient can claim while it is in doubt, and then no copy follows', async () => {
    world.mail.behave({ kind: 'drop', at: 'content', kept: true });
    consumer = world.start({ MAIL_IN_DOUBT_PAUSE_SECONDS: '3' });
    const { id, sender, copies } = await sendOne();
    await eventually(async () => expect((await attemptsOf(id))[0]?.outcome).toBe('in_doubt'));
    const token = claimToken(keyring, id, 1);
    expect((await readClaimLink(world.database.db, { keyring }, token)).status).toBe('open');
    const request = { token, idempotencyKey: 'k', requestId: null };
    await world.database.db.transaction().execute((trx) => claimVoucher(trx, { keyring }, request));
    await queueIsEmpty();
    expect(copies()).toHaveLength(1);
    expect(await attemptsOf(id)).toHaveLength(1);
    expect((await storyOf(world.database, id)).gift.state).toBe('claimed');
    expect(await balances(world.database.db, sender)).toMatchObject({
      available: 7_500,
      reserved: 0,
      total: 0,
    });
  });

  test('a message that comes early does not hasten the repeat, and the repeat still comes', async () => {
    let asked = 0;
    world.mail.behave(({ at }) => {
      if (at === 'content') asked += 1;
      return asked <= 1 ? { kind: 'drop', at: 'content', kept: true } : { kind: 'accept' };
    });
    consumer = world.start({ MAIL_IN_DOUBT_PAUSE_SECONDS: '3' });
    const { id, outbox, copies } = await sendOne();
    await eventually(async () => expect((await attemptsOf(id))[0]?.outcome).toBe('in_doubt'));
    await publish(world.clients, world.queue, outbox);
    await eventually(() =>
      expect(
        consumer
          ?.lines()
          .filter((line) => line['gift_id'] === id)
          .map(({ result }) => result),
      ).toContain('leased'),
    );
    expect(copies()).toHaveLength(1);
    await eventually(
      async () => expect((await attemptsOf(id)).map(({ outcome }) => outcome)).toEqual(['in_doubt', 'sent']),
      { timeoutMs: 20_000 },
    );
    await queueIsEmpty();
    expect(copies()).toHaveLength(2);
    const [first, second] = await attemptsOf(id);
    expect(second?.started_at.getTime()).toBeGreaterThanOrEqual(
      first?.next_attempt_at?.getTime() ?? Infinity,
    );
  });

  test('a repeat that the server refuses for good leaves the gift delivered and makes no dead letter', async () => {
    let asked = 0;
    world.mail.behave(({ at }) => {
      if (at === 'content') asked += 1;
      return asked === 0 || at === 'content'
        ? { kind: 'drop', at: 'content', kept: true }
        : { kind: 'reply', at: 'recipient', code: 550 };
    });
    consumer = world.start({ MAIL_IN_DOUBT_PAUSE_SECONDS: '1' });
    const { id } = await sendOne();
    await eventually(
      async () =>
        expect((await attemptsOf(id)).map(({ outcome }) => outcome)).toEqual(['in_doubt', 'dead_letter']),
      { timeoutMs: 20_000 },
    );
    await queueIsEmpty();
    const { gift, deliveries, transfers } = await storyOf(world.database, id);
    expect([gift.state, deliveries[0]?.state, transfers]).toEqual([
      'delivered',
      'failed',
      ['commit', 'reserve'],
    ]);
    expect(await deadLetters(world.emulator, world.queue)).toEqual([]);
  });
});

describe('a time-out is no shorter than the protocol’s', () => {
  test('a server that takes its time after DATA gets one mail, while its message and its lease are kept', async () => {
    const { promise: after, resolve: answer } = Promise.withResolvers<void>();
    world.mail.behave({ kind: 'accept', after });
    // Visibility and lease are 6 s and 2 s: the answer comes after both would have been over.
    consumer = world.start({ LEASE_SECONDS: '2', SMTP_ACCEPTANCE_TIMEOUT_SECONDS: '60' });
    const heldBefore = world.mail.held();
    const { id, outbox, copies } = await sendOne();
    await eventually(() => expect(world.mail.held()).toBe(heldBefore + 1));
    const leaseOf = async () => (await storyOf(world.database, id)).gift.lease_until?.getTime() ?? 0;
    const first = await leaseOf();
    await eventually(async () => expect(await leaseOf()).toBeGreaterThan(first + 6_000), {
      timeoutMs: 30_000,
    });
    // A repeat of the message, as SQS may bring it, finds the gift with its worker.
    await publish(world.clients, world.queue, outbox);
    await eventually(() =>
      expect(consumer?.lines().some((line) => line['gift_id'] === id && line['result'] === 'leased')).toBe(
        true,
      ),
    );
    answer();
    await eventually(async () => expect((await storyOf(world.database, id)).gift.state).toBe('delivered'));
    await queueIsEmpty();
    expect(copies()).toHaveLength(1);
    expect(await attemptsOf(id)).toMatchObject([{ outcome: 'sent' }]);
  });
});
