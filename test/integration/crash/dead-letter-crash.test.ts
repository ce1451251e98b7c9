import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { type Fault, hang } from '../../support/faults.ts';
import { balances } from '../../support/gifts.ts';
import { killRoles } from '../../support/role-process.ts';
import { deadLetters, depth, storyOf } from '../consumer/world.ts';
import { acceptOverHttp, createSystem, giftBody, type System, startingBalanceMinor } from './system.ts';

let system: System;
/** All gifts of this file: the books must balance over all that came before, too. */
let accepted = 0;
let spentMinor = 0;

beforeAll(async () => {
  system = await createSystem();
}, 60_000);

beforeEach(() => {
  system.mail.behave(({ to }) =>
    to.startsWith('refused') ? { kind: 'reply', at: 'recipient', code: 550 } : { kind: 'accept' },
  );
});

afterEach(async () => {
  system.consumerProxy.heal();
  await killRoles();
});

afterAll(() => system.end());

type Accepted = { refused: GiftId[]; taken: GiftId[] };

/** Gifts whose recipients the mail server refuses for good, and some that it takes. */
async function accept(api: { url: string }): Promise<Accepted> {
  const amounts = Array.from({ length: 10 }, (_, index) => 1_000 + accepted + index);
  const bodies = amounts.map((amount, index) => ({
    ...giftBody(accepted + index),
    value: { amount, currency: 'EUR' },
    recipient: {
      type: 'email',
      email: `${index < 7 ? 'refused' : 'taken'}-${accepted + index}@example.com`,
    },
  }));
  accepted += bodies.length;
  spentMinor += amounts.slice(7).reduce((sum, amount) => sum + amount, 0);
  const ids = await acceptOverHttp(api, system.sender, bodies);
  return { refused: ids.slice(0, 7), taken: ids.slice(7) };
}

const inDeadLetters = () => deadLetters(system.emulator, { deadLetterName: `${system.queueName}-dlq` });

/** How many copies each gift has in the dead-letter queue; the key of a message is its type and id. */
async function copiesPerGift(gifts: GiftId[]): Promise<number[]> {
  const keys = (await inDeadLetters()).map(({ body, class: died, reason }) => {
    const { type, id } = JSON.parse(body) as { type: string; id: string };
    expect({ type, died, reason }).toEqual({
      type: 'gift.deliver',
      died: 'permanent',
      reason: 'recipient_refused',
    });
    return id;
  });
  expect(keys.filter((id) => !gifts.includes(id as GiftId))).toEqual([]);
  return gifts.map((gift) => keys.filter((id) => id === gift).length);
}

/** SIGKILL as soon as every refusal stands in Postgres and `operation` hangs; what hung is over, and all starts again. */
async function killWhile(operation: string, fault: Fault, isThere: () => unknown): Promise<Accepted> {
  const api = await system.startApi();
  const gifts = await accept(api);
  const when = ({ QueueUrl: url }: Record<string, unknown>) =>
    operation !== 'SendMessageBatch' || String(url).endsWith('-dlq');
  system.consumerProxy.inject({ operation, when, fault });
  const consumer = await system.startConsumer();
  await eventually(
    async () => {
      expect(await deadInPostgres(gifts.refused)).toBe(gifts.refused.length);
      // A worker that dies between a mail and its record mails again, which is another test's matter.
      expect(await deliveredInPostgres(gifts.taken)).toBe(gifts.taken.length);
      expect(system.consumerProxy.open(operation).length).toBeGreaterThan(0);
      await isThere();
    },
    { timeoutMs: 40_000 },
  );
  await consumer.kill();
  // The gap that was meant: nothing of the queue was acknowledged.
  expect(await depth(system.emulator, system.queueName)).toBeGreaterThanOrEqual(gifts.refused.length);
  system.consumerProxy.heal();
  const successor = await system.startConsumer();
  await eventually(async () => expect(await depth(system.emulator, system.queueName)).toBe(0), {
    timeoutMs: 30_000,
  });
  expect(await successor.stop()).toBe(0);
  expect(await api.stop()).toBe(0);
  return gifts;
}

async function deadInPostgres(gifts: GiftId[]): Promise<number> {
  const { rows } = await system.database.pool.query(
    'select 1 from gifts where id = any ($1) and dead_lettered_at is not null',
    [gifts.map((id) => toUuid(id))],
  );
  return rows.length;
}

async function deliveredInPostgres(gifts: GiftId[]): Promise<number> {
  const { rows } = await system.database.pool.query(
    `select 1 from gifts where id = any ($1) and state = 'delivered'`,
    [gifts.map((id) => toUuid(id))],
  );
  return rows.length;
}

/** The reconciler's default policy quarantines what can never be delivered: the gift fails, the money goes back once. */
async function expectSettledByReconciler({ refused, taken }: Accepted): Promise<void> {
  for (let run = 1; run <= 2; run += 1) {
    const reconciler = await system.reconcile();
    expect({ run, code: await reconciler.ended, log: reconciler.output() }).toMatchObject({ run, code: 0 });
    expect(await inDeadLetters()).toEqual([]);
    for (const id of refused) {
      const { gift, vouchers, transfers, attempts } = await storyOf(system.database, id);
      expect(gift).toMatchObject({ state: 'failed', failure_class: 'permanent', lease_until: null });
      expect(gift.failure_code).toBe('recipient_refused');
      expect(vouchers.map(({ state }) => state)).toEqual(['cancelled']);
      expect(transfers).toEqual(['release', 'reserve']);
      expect(new Set(attempts.map(({ outcome }) => outcome))).toEqual(new Set(['dead_letter']));
    }
    for (const id of taken) {
      const { gift, vouchers, transfers } = await storyOf(system.database, id);
      expect(gift).toMatchObject({ state: 'delivered', dead_lettered_at: null });
      expect(vouchers.map(({ state }) => state)).toEqual(['active']);
      expect(transfers).toEqual(['commit', 'reserve']);
    }
    expect(await balances(system.database.db, system.sender)).toEqual({
      available: startingBalanceMinor - spentMinor,
      reserved: 0,
      outstanding: spentMinor,
      total: 0,
    });
  }
  const { rows } = await system.database.pool.query(
    `select message_key, count(*)::integer as rows from dead_letters
      where gift_id = any ($1) and verdict = 'quarantine' group by message_key`,
    [refused.map((id) => toUuid(id))],
  );
  expect(rows.map(({ message_key: key }) => key).toSorted()).toEqual(
    refused.map((id) => `gift.deliver:${id}`).toSorted(),
  );
}

const mailsTo = () => system.mail.mails().map(({ to }) => to[0]);

describe('SIGKILL of the consumer while a gift dies', () => {
  afterEach(() => {
    // Nobody was mailed twice, and whom the server refused not at all.
    const mailed = mailsTo();
    expect(new Set(mailed).size).toBe(mailed.length);
    expect(mailed.filter((to) => to?.startsWith('refused'))).toEqual([]);
  });

  test('after the verdict is recorded and before the copy is sent: it dies again, with one copy', async () => {
    const gifts = await killWhile('SendMessageBatch', hang(), async () =>
      expect(await inDeadLetters()).toEqual([]),
    );
    expect(await copiesPerGift(gifts.refused)).toEqual(gifts.refused.map(() => 1));
    await expectSettledByReconciler(gifts);
  }, 90_000);

  test('after the copy is sent and before SQS said so: at most one copy more, under the same key', async () => {
    const gifts = await killWhile('SendMessageBatch', hang({ reachesUpstream: true }), async () =>
      expect(await inDeadLetters()).toHaveLength(7),
    );
    expect(await copiesPerGift(gifts.refused)).toEqual(gifts.refused.map(() => 2));
    await expectSettledByReconciler(gifts);
  }, 90_000);

  test('after the copy is sent and before the original is deleted: at most one copy more, under the same key', async () => {
    const gifts = await killWhile('DeleteMessageBatch', hang(), async () =>
      expect(await inDeadLetters()).toHaveLength(7),
    );
    expect(await copiesPerGift(gifts.refused)).toEqual(gifts.refused.map(() => 2));
    await expectSettledByReconciler(gifts);
  }, 90_000);
});
