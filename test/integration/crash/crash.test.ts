import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { hang } from '../../support/faults.ts';
import { passHalfTheirTime } from '../../support/gifts.ts';
import { killRoles } from '../../support/role-process.ts';
import { checkBooks, comeToRest } from './books.ts';
import { acceptOverHttp, createSystem, giftBody, type System } from './system.ts';

let system: System;
/** All gifts of this file: the books must balance over all that came before, too. */
const ids: GiftId[] = [];
let fresh: GiftId[] = [];

beforeAll(async () => {
  system = await createSystem();
}, 60_000);

beforeEach(() => {
  fresh = [];
});

afterEach(async () => {
  system.mail.behave({ kind: 'accept' });
  system.apiProxy.heal();
  system.consumerProxy.heal();
  await killRoles();
});

afterAll(() => system.end());

async function accept(api: { url: string }, count: number): Promise<GiftId[]> {
  const bodies = Array.from({ length: count }, (_, index) => giftBody(ids.length + index));
  fresh = await acceptOverHttp(api, system.sender, bodies);
  ids.push(...fresh);
  return fresh;
}

/** As if the time had passed that a process has to publish what it wrote, or what it claimed. */
async function letOutboxLeasesPass(): Promise<void> {
  await system.database.pool.query('update outbox set available_at = now()');
}

const rowsInOutbox = async () => {
  const { rows } = await system.database.pool.query('select count(*)::integer as rows from outbox');
  return Number(rows[0]?.rows);
};

const statesOf = async (gifts: GiftId[]) => {
  const { rows } = await system.database.pool.query('select state from gifts where id = any ($1)', [
    gifts.map((id) => toUuid(id)),
  ]);
  return rows.map(({ state }) => state as string);
};

/** Everything starts again and comes to rest. @returns how many copies of each fresh gift's mail arrived */
async function recover(): Promise<number[]> {
  await letOutboxLeasesPass();
  const api = await system.startApi();
  const consumer = await system.startConsumer();
  await comeToRest(system, fresh);
  const copies = await checkBooks(system, ids);
  expect(await consumer.stop()).toBe(0);
  expect(await api.stop()).toBe(0);
  return fresh.map((id) => copies.get(id)?.length ?? 0);
}

describe('SIGKILL of the API', () => {
  test('P18: after commit and before send: nothing is lost, everything is sent once', async () => {
    system.apiProxy.inject({ operation: 'SendMessageBatch', fault: hang() });
    const api = await system.startApi();
    const gifts = await accept(api, 12);
    await eventually(() => expect(system.apiProxy.open('SendMessageBatch').length).toBeGreaterThan(0));
    await api.kill();
    expect(await rowsInOutbox()).toBe(gifts.length);
    expect(await statesOf(gifts)).toEqual(gifts.map(() => 'queued'));
    system.apiProxy.heal();
    expect(await recover()).toEqual(gifts.map(() => 1));
  }, 90_000);

  test('P18: after send and before the outbox row is deleted: only duplicates, and no second mail', async () => {
    system.apiProxy.inject({ operation: 'SendMessageBatch', fault: hang({ reachesUpstream: true }) });
    const api = await system.startApi();
    const gifts = await accept(api, 12);
    await eventually(async () => {
      expect((await system.emulator.inspect(system.queueName)).ready.length).toBeGreaterThanOrEqual(
        gifts.length,
      );
    });
    await api.kill();
    expect(await rowsInOutbox()).toBe(gifts.length);
    system.apiProxy.heal();
    expect(await recover()).toEqual(gifts.map(() => 1));
  }, 90_000);
});

describe('SIGKILL of the consumer', () => {
  test('after the mint and before the mail: one voucher and one mail', async () => {
    system.mail.behave({ kind: 'hang', at: 'greeting' });
    const api = await system.startApi();
    const consumer = await system.startConsumer();
    const gifts = await accept(api, 12);
    await eventually(async () => expect(await statesOf(gifts)).toEqual(gifts.map(() => 'delivering')));
    await consumer.kill();
    await api.stop();
    expect(await vouchersOf(gifts)).toBe(gifts.length);
    system.mail.behave({ kind: 'accept' });
    expect(await recover()).toEqual(gifts.map(() => 1));
    expect(await outcomesOf(gifts)).toEqual({ interrupted: gifts.length, sent: gifts.length });
  }, 90_000);

  test('after the server took the mail and before it said so: copies of the same mail', async () => {
    system.mail.behave({ kind: 'hang', at: 'content', kept: true });
    const before = system.mail.mails().length;
    const api = await system.startApi();
    const consumer = await system.startConsumer({ SMTP_MAX_CONNECTIONS: '12' });
    const gifts = await accept(api, 12);
    await eventually(() => expect(system.mail.mails().length).toBe(before + gifts.length));
    await consumer.kill();
    await api.stop();
    system.mail.behave({ kind: 'accept' });
    expect(await recover()).toEqual(gifts.map(() => 2));
  }, 90_000);

  test('after the mail and before the commit: copies of the same mail, one charge', async () => {
    const before = system.mail.mails().length;
    const blocker = new pg.Client({ connectionString: system.database.url });
    await blocker.connect();
    const api = await system.startApi();
    const consumer = await system.startConsumer();
    const { promise: after, resolve: release } = Promise.withResolvers<void>();
    system.mail.behave({ kind: 'accept', after });
    const gifts = await accept(api, 8);
    await eventually(async () => expect(await statesOf(gifts)).toEqual(gifts.map(() => 'delivering')));
    await blocker.query('begin');
    await blocker.query('lock table ledger_transfers in access exclusive mode');
    release();
    await eventually(async () => {
      expect(system.mail.mails().length).toBe(before + gifts.length);
      const { rows } = await blocker.query(
        `select 1 from pg_stat_activity where application_name = 'largesse-consumer' and wait_event_type = 'Lock'`,
      );
      expect(rows.length).toBeGreaterThan(0);
    });
    await consumer.kill();
    await api.stop();
    await blocker.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'largesse-consumer'`,
    );
    await blocker.end();
    system.mail.behave({ kind: 'accept' });
    expect(await recover()).toEqual(gifts.map(() => 2));
  }, 90_000);

  test('after the commit and before the delete: the repeats are recognised', async () => {
    const before = system.mail.mails().length;
    system.consumerProxy.inject({ operation: 'DeleteMessageBatch', fault: hang() });
    const api = await system.startApi();
    const consumer = await system.startConsumer();
    const gifts = await accept(api, 12);
    await eventually(async () => expect(await statesOf(gifts)).toEqual(gifts.map(() => 'delivered')));
    await eventually(() => expect(system.consumerProxy.open('DeleteMessageBatch').length).toBeGreaterThan(0));
    await consumer.kill();
    await api.stop();
    system.consumerProxy.heal();
    expect(await recover()).toEqual(gifts.map(() => 1));
    expect(system.mail.mails().length).toBe(before + gifts.length);
  }, 90_000);

  test('again and again, in the middle of the work: no gift, no cent and no voucher is lost or doubled', async () => {
    const api = await system.startApi();
    const gifts = await accept(api, 60);
    for (const share of [0.1, 0.3, 0.5, 0.7]) {
      const consumer = await system.startConsumer({ MAX_IN_FLIGHT: '10', SMTP_MAX_CONNECTIONS: '2' });
      await eventually(
        async () => {
          const delivered = (await statesOf(gifts)).filter((state) => state === 'delivered').length;
          expect(delivered).toBeGreaterThan(share * gifts.length);
        },
        { timeoutMs: 20_000, intervalMs: 2 },
      );
      await consumer.kill();
    }
    await api.stop();
    const copies = await recover();
    expect(Math.min(...copies)).toBe(1);
  }, 120_000);
});

describe('P55: SIGKILL in the middle of a reminder', () => {
  test('leaves it sent once, whatever starts again', async () => {
    const remindedMails = () => system.mail.mails().filter(({ subject }) => subject.includes('expires soon'));
    const expiring = { expires_at: new Date(Date.now() + 3_600_000).toISOString() };
    const first = await system.startApi();
    const consumer = await system.startConsumer();
    fresh = await acceptOverHttp(first, system.sender, [{ ...giftBody(ids.length), ...expiring }]);
    ids.push(...fresh);
    await eventually(async () => expect(await statesOf(fresh)).toEqual(['delivered']));
    await first.stop();

    // The schedule of the next API process finds that the gift expires soon.
    await passHalfTheirTime(system.database.db, fresh);
    system.mail.behave({ kind: 'hang', at: 'content', kept: true });
    const second = await system.startApi();
    await eventually(() => expect(remindedMails()).toHaveLength(1), { timeoutMs: 15_000 });
    await consumer.kill();
    await second.kill();
    system.mail.behave({ kind: 'accept' });
    await letOutboxLeasesPass();
    const third = await system.startApi();
    const successor = await system.startConsumer();
    await eventually(
      async () => {
        const { ready, inflight } = await system.emulator.inspect(system.queueName);
        expect(ready.length + inflight.length).toBe(0);
      },
      { timeoutMs: 20_000 },
    );
    expect(remindedMails()).toHaveLength(1);
    expect(successor.lines().some((line) => line['result'] === 'repeat')).toBe(true);
    await successor.stop();
    await third.stop();
  }, 90_000);
});

async function vouchersOf(gifts: GiftId[]): Promise<number> {
  const { rows } = await system.database.pool.query(
    'select count(*)::integer as vouchers from vouchers where gift_id = any ($1)',
    [gifts.map((id) => toUuid(id))],
  );
  return Number(rows[0]?.vouchers);
}

async function outcomesOf(gifts: GiftId[]): Promise<Record<string, number>> {
  const { rows } = await system.database.pool.query(
    `select outcome, count(*)::integer from delivery_attempts a join deliveries d on d.id = a.delivery_id
      where d.gift_id = any ($1) group by outcome`,
    [gifts.map((id) => toUuid(id))],
  );
  return Object.fromEntries(rows.map(({ outcome, count }) => [outcome as string, Number(count)]));
}
