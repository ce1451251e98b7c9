import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { readPauses } from '../../../services/database/queries/queue-pauses.ts';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { accept, draftGift, fundedSender } from '../../support/gifts.ts';
import type { MailBehaviour } from '../../support/mail-server.ts';
import { envelopes, metricValue, publish, type TestedConsumer } from './consumer-under-test.ts';
import { createWorld, deadLetters, depth, storyOf, type World } from './world.ts';

let world: World;
let consumer: TestedConsumer | undefined;

beforeAll(async () => {
  world = await createWorld();
});

beforeEach(() => world.mail.behave({ kind: 'accept' }));

afterEach(async () => {
  await consumer?.shutDown();
  consumer = undefined;
  await bringMailServerBack();
});

afterAll(() => world.end());

let isAway = false;

async function takeMailServerAway() {
  isAway = true;
  await world.mail.stop();
}

async function bringMailServerBack() {
  if (isAway) await world.mail.start();
  isAway = false;
}

async function send(emails: string[]): Promise<GiftId[]> {
  const { db } = world.database;
  const sender = await fundedSender(db, emails.length * 10_000);
  const drafts = emails.map((email) => draftGift(sender, { recipient: { kind: 'email', email } }));
  const { gifts, outbox } = await accept(db, drafts, envelopes);
  await publish(world.clients, world.queue, outbox);
  return gifts.map(({ id }) => id);
}

const people = (count: number, domain = 'example.com') =>
  Array.from({ length: count }, () => `${crypto.randomUUID()}@${domain}`);

const pauses = () => readPauses(world.database.db);

async function statesOf(gifts: GiftId[]): Promise<string[]> {
  const rows = await world.database.db
    .selectFrom('gifts')
    .select('state')
    .where('id', 'in', gifts.map(toUuid))
    .execute();
  return rows.map(({ state }) => state);
}

const allDelivered = (gifts: GiftId[]) =>
  eventually(async () => expect(new Set(await statesOf(gifts))).toEqual(new Set(['delivered'])), {
    timeoutMs: 40_000,
  });

describe('what concerns every mail is charged to none', () => {
  test.each<[string, MailBehaviour | 'away', { owner: string; code: string }]>([
    ['is away', 'away', { owner: 'peer', code: 'mail_unreachable' }],
    [
      'turns us away',
      { kind: 'reply', at: 'greeting', code: 554 },
      { owner: 'us', code: 'mail_server_refused' },
    ],
    [
      'refuses our sender',
      { kind: 'reply', at: 'sender', code: 553, text: '5.7.1 Sender address rejected: not owned by user' },
      { owner: 'us', code: 'mail_sender_refused' },
    ],
    [
      'relays for nobody',
      { kind: 'reply', at: 'recipient', code: 554, text: '5.7.1 Relay access denied' },
      { owner: 'us', code: 'mail_relay_denied' },
    ],
    [
      'refuses every recipient without a reason',
      { kind: 'reply', at: 'recipient', code: 550, text: 'no' },
      { owner: 'unknown', code: 'mail_refused' },
    ],
    [
      'wants SPF or DKIM',
      { kind: 'reply', at: 'content', code: 550, text: '5.7.26 Unauthenticated email is not accepted' },
      { owner: 'us', code: 'mail_policy_refused' },
    ],
    [
      'has a daily limit',
      { kind: 'reply', at: 'content', code: 550, text: '5.4.5 Daily user sending limit exceeded' },
      { owner: 'us', code: 'mail_quota_exceeded' },
    ],
    [
      'has no disk left',
      { kind: 'reply', at: 'content', code: 452, text: '4.3.1 Insufficient system storage' },
      { owner: 'peer', code: 'mail_server_failing' },
    ],
  ])(
    'a server that %s: consumption pauses, every gift waits, and all arrive once it is mended',
    async (_what, behaviour, expected) => {
      if (behaviour === 'away') await takeMailServerAway();
      else world.mail.behave(behaviour);
      const emails = people(25);
      consumer = world.start({ MAX_RETRY_COUNT: '1', MAX_IN_FLIGHT: '10' });
      const gifts = await send(emails);

      const [pause] = await eventually(
        async () => {
          const found = await pauses();
          expect(found).toMatchObject([{ queue: world.queue.name, consumers: 1, ...expected }]);
          return found;
        },
        { timeoutMs: 20_000 },
      );
      expect(pause?.reason).not.toContain('@');
      expect(await metricValue(consumer.metrics, 'queue_paused', { queue: world.queue.name })).toBe(1);
      expect(await metricValue(consumer.metrics, 'queue_pauses_total', { code: expected.code })).toBe(1);
      const alarm = consumer.lines().find((line) => line['event'] === 'consumption_paused');
      expect(alarm).toMatchObject({
        level: 'error',
        marker: '[MONITOR]',
        ...expected,
        next_probe_ms: expect.any(Number),
      });
      // Probes go on failing, more of them than a gift has attempts.
      await eventually(
        () =>
          expect(
            consumer
              ?.lines()
              .filter((line) => line['event'] === 'consumption_paused' && Number(line['failed_probes']) >= 2),
          ).not.toEqual([]),
        { timeoutMs: 40_000 },
      );
      expect(await deadLetters(world.emulator, world.queue)).toEqual([]);
      const states = await statesOf(gifts);
      expect(states.filter((state) => state !== 'queued' && state !== 'delivering')).toEqual([]);

      if (behaviour === 'away') await bringMailServerBack();
      else world.mail.behave({ kind: 'accept' });
      await allDelivered(gifts);
      const received = world.mail.mails().flatMap(({ to }) => to);
      expect(emails.filter((email) => received.filter((to) => to === email).length !== 1)).toEqual([]);
      await eventually(async () => {
        expect(await pauses()).toEqual([]);
        expect(await depth(world.emulator, world.queue.name)).toBe(0);
      });
      expect(await metricValue(consumer.metrics, 'queue_paused')).toBe(0);
      expect(consumer.lines().some((line) => line['event'] === 'consumption_resumed')).toBe(true);
      expect(await deadLetters(world.emulator, world.queue)).toEqual([]);
    },
    90_000,
  );
});

describe('what concerns one recipient or one domain stops nobody else', () => {
  test('a domain that is refused by policy waits, and the mails of all others go out meanwhile', async () => {
    world.mail.behave(({ to }) =>
      to.endsWith('@closed.example')
        ? { kind: 'reply', at: 'recipient', code: 550, text: '5.7.1 blocked by policy' }
        : { kind: 'accept' },
    );
    consumer = world.start({ SMTP_MAX_CONNECTIONS: '1' });
    const mixed = Array.from({ length: 15 }, () => [...people(1, 'closed.example'), ...people(2)]).flat();
    const gifts = await send(mixed);
    await allDelivered(gifts.filter((_, index) => !mixed[index]?.endsWith('@closed.example')));
    expect(await deadLetters(world.emulator, world.queue)).toEqual([]);
    const refused = gifts[0];
    if (refused === undefined) throw new Error('no gift');
    const { gift, deliveries, attempts } = await storyOf(world.database, refused);
    expect(gift.state).not.toBe('failed');
    expect(attempts[0]).toMatchObject({ class: 'transient', code: 'mail_policy_refused' });
    expect(deliveries[0]?.attempts_forgiven).toBeGreaterThan(0);
    world.mail.behave({ kind: 'accept' });
    await allDelivered(gifts);
  }, 60_000);

  test('unknown users, however many in a row, are refused at once and pause nothing', async () => {
    world.mail.behave({ kind: 'reply', at: 'recipient', code: 550 });
    consumer = world.start();
    const gifts = await send(people(30));
    await eventually(
      async () => {
        const dead = (await deadLetters(world.emulator, world.queue)).filter(({ body }) =>
          gifts.some((id) => body.includes(id)),
        );
        expect(dead).toHaveLength(30);
        expect(new Set(dead.map(({ class: died, reason }) => `${died} ${reason}`))).toEqual(
          new Set(['permanent recipient_refused']),
        );
      },
      { timeoutMs: 20_000 },
    );
    expect(await pauses()).toEqual([]);
    expect(consumer.lines().filter((line) => line['event'] === 'consumption_paused')).toEqual([]);
  });
});

test('a server that takes one mail and refuses the next (a rate limit) does not use up the receives of all others', async () => {
  let mails = 0;
  world.mail.behave(({ at }) => {
    if (at !== 'recipient') return { kind: 'accept' };
    mails += 1;
    return mails % 6 === 0
      ? { kind: 'accept' }
      : { kind: 'reply', at: 'recipient', code: 421, text: '4.7.0 Too many messages, try again later' };
  });
  consumer = world.start();
  await send(people(60));
  await eventually(
    () =>
      expect(
        consumer?.lines().filter((line) => line['event'] === 'consumption_resumed').length,
      ).toBeGreaterThanOrEqual(4),
    { timeoutMs: 60_000 },
  );
  const { ready, delayed, inflight } = await world.emulator.inspect(world.queue.name);
  const receives = [...ready, ...delayed, ...inflight.map(({ message }) => message)].map(
    ({ approximateReceiveCount }) => approximateReceiveCount,
  );
  // The first window was received before anybody knew; of the four pauses after it each costs a few receives and not a window.
  expect(receives.reduce((sum, count) => sum + count, 0)).toBeLessThan(120);
  await consumer.shutDown();
  consumer = undefined;
}, 90_000);

test('Q6: a consumer that is stopped while it is paused ends in time, and pauses nothing any more', async () => {
  await takeMailServerAway();
  consumer = world.start({ SHUTDOWN_GRACE_SECONDS: '3' });
  const gifts = await send(people(5));
  await eventually(async () => expect(await pauses()).toHaveLength(1));
  const before = performance.now();
  await consumer.shutDown();
  consumer = undefined;
  expect(performance.now() - before).toBeLessThan(3_000);
  expect(await pauses()).toEqual([]);
  await bringMailServerBack();
  consumer = world.start();
  await allDelivered(gifts);
});
