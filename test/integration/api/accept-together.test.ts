import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toUuid } from '../../../services/domain/ids.ts';
import {
  freshKey,
  giftRequest,
  postGift,
  startTestApi,
  type TestApi,
  type TestSender,
} from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';

let api: TestApi;
let server: Server;
beforeAll(async () => {
  api = await startTestApi();
  server = createServer(api.app).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await api.close();
});

const giftsOf = async ({ senderId }: TestSender): Promise<number> => {
  const { rows } = await api.database.pool.query(
    'select count(*)::int as n from gifts where sender_id = $1',
    [toUuid(senderId)],
  );
  return rows[0].n;
};

const metric = async (line: string): Promise<number> => {
  const { body } = await api.deps.metrics.render();
  return Number(new RegExp(`^largesse_${line} (\\d+)`, 'm').exec(String(body))?.[1] ?? 0);
};

/** Holds what a statement locks until `end` is called. */
async function holding(statement: string, values: unknown[]) {
  const client = await api.database.pool.connect();
  await client.query('begin');
  await client.query(statement, values);
  return {
    end: async () => {
      await client.query('rollback');
      client.release();
    },
  };
}

/** A request as a client makes it that may go away before the answer. */
function ask(sender: TestSender, key: string) {
  const leaving = new AbortController();
  const { port } = server.address() as AddressInfo;
  const answer = fetch(`http://127.0.0.1:${port}/v1/gifts`, {
    method: 'POST',
    signal: leaving.signal,
    headers: { [sender.auth[0]]: sender.auth[1], 'Idempotency-Key': key, 'Content-Type': 'application/json' },
    body: JSON.stringify(giftRequest),
  });
  return { answer, leave: () => leaving.abort() };
}

describe('one sender’s lock never stops another’s accepts', () => {
  test.each([
    ['the sender', 'select from senders where id = $1 for update'],
    ['the funding account', 'select from funding_accounts where sender_id = $1 for update'],
    [
      'the balance',
      'select pg_advisory_xact_lock(ledger_lock_key(id)) from funding_accounts where sender_id = $1',
    ],
  ])(
    '%s is held: its gifts wait, all others are accepted, and it goes on when it is free',
    async (_what, sql) => {
      const [held, ...others] = await Promise.all(Array.from({ length: 4 }, () => api.sender()));
      if (!held) throw new Error('no sender');
      const lock = await holding(sql, [toUuid(held.senderId)]);
      let waiting = 3;
      const waits = Array.from({ length: waiting }, () =>
        postGift(api, held).then((answer) => {
          waiting -= 1;
          return answer;
        }),
      );
      for (let round = 0; round < 10; round += 1) {
        const answers = await Promise.all(others.map((other) => postGift(api, other)));
        expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
      }
      expect([waiting, await giftsOf(held)]).toEqual([3, 0]);
      await lock.end();
      expect((await Promise.all(waits)).map(({ status }) => status)).toEqual([202, 202, 202]);
      expect(await metric('accepts_busy_total')).toBeGreaterThan(0);
    },
  );

  test('what is held for too long is answered 503, retryable, and is not accepted afterwards', async () => {
    const held = await api.sender();
    const lock = await holding('select from senders where id = $1 for update', [toUuid(held.senderId)]);
    const key = freshKey();
    const answer = await postGift(api, held, giftRequest, key);
    expect([answer.status, answer.body.code, answer.body.retryable]).toEqual([503, 'unavailable', true]);
    expect(answer.headers['retry-after']).toBe('2');
    await lock.end();
    expect((await postGift(api, held, giftRequest, key)).headers['idempotency-replayed']).toBeUndefined();
    expect(await giftsOf(held)).toBe(1);
  }, 20_000);

  test('a gift that the database refuses for a reason nobody foresaw is its sender’s alone', async () => {
    const [odd, other] = [await api.sender(), await api.sender()];
    await api.database.pool.query(
      'alter table gifts add constraint gifts_unlucky check (amount_minor <> 666)',
    );
    const unlucky = { ...giftRequest, value: { amount: 666, currency: 'EUR' } };
    const answers = await Promise.all([
      postGift(api, other),
      postGift(api, odd, unlucky),
      postGift(api, other),
    ]);
    await api.database.pool.query('alter table gifts drop constraint gifts_unlucky');
    expect(answers.map(({ status }) => status)).toEqual([202, 500, 202]);
    expect((await postGift(api, odd)).status).toBe(202);
  });
});

describe('work in memory does not outlive its caller', () => {
  test('a caller who went away while their gift waited is not charged for it, and whoever asks again is', async () => {
    const held = await api.sender();
    const lock = await holding('select from senders where id = $1 for update', [toUuid(held.senderId)]);
    const key = freshKey();
    const before = await metric('accepts_dropped_total\\{reason="gone"\\}');
    const busyBefore = await metric('accepts_busy_total');
    const first = ask(held, key);
    await eventually(async () => expect(await metric('accepts_busy_total')).toBeGreaterThan(busyBefore));
    first.leave();
    await expect(first.answer).rejects.toThrow();
    await eventually(async () =>
      expect(await metric('accepts_dropped_total\\{reason="gone"\\}')).toBe(before + 1),
    );
    await eventually(() =>
      expect(api.logged().at(-1)).toMatchObject({
        event: 'http_request',
        status: 499,
        closed_by_client: true,
      }),
    );
    await lock.end();
    expect((await postGift(api, held)).status).toBe(202);
    expect(await giftsOf(held)).toBe(1);
    const again = await ask(held, key).answer;
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([202, null]);
    expect(await giftsOf(held)).toBe(2);
  });
});
