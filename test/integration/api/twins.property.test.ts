import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Kysely, PostgresDialect } from 'kysely';
import type pg from 'pg';
import { buildApp } from '../../../services/api/app.ts';
import type { Database } from '../../../services/database/schema.ts';
import { toUuid } from '../../../services/domain/ids.ts';
import { freshKey, giftRequest, startTestApi, type TestApi, type TestSender } from '../../support/api.ts';
import { fund } from '../../support/gifts.ts';

let api: TestApi;
let servers: Server[] = [];
let pause: () => Promise<void> = async () => undefined;

beforeAll(async () => {
  api = await startTestApi();
  servers = [0, 1].map(() => createServer(buildApp({ ...api.deps, db: pausing(api.database.pool) })));
  for (const server of servers) await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterAll(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  await api.close();
});

/** A pool that stands still before and after each connection and statement for as long as the scheduler likes. */
function pausing(pool: pg.Pool): Kysely<Database> {
  const connect = async () => {
    await pause();
    const client = await pool.connect();
    const query = async (text: string, values?: unknown[]) => {
      await pause();
      const result = await client.query(text, values);
      await pause();
      return result;
    };
    return { query, release: (error?: Error) => client.release(error) };
  };
  const paused = { connect, end: async () => undefined, options: pool.options };
  return new Kysely<Database>({ dialect: new PostgresDialect({ pool: paused as never }) });
}

type Answer = { status: number; retryable?: boolean } | 'left';

async function ask(
  server: Server,
  sender: TestSender,
  request: { key: string; body: object },
  leaves: boolean,
) {
  const leaving = new AbortController();
  const { port } = server.address() as AddressInfo;
  const answer = fetch(`http://127.0.0.1:${port}/v1/gifts`, {
    method: 'POST',
    signal: leaving.signal,
    headers: {
      [sender.auth[0]]: sender.auth[1],
      'Idempotency-Key': request.key,
      'Content-Type': 'application/json',
    },
    body: JSON.stringify(request.body),
  }).then(
    async (got): Promise<Answer> => ({
      status: got.status,
      ...((await got.json()) as { retryable?: boolean }),
    }),
    (): Answer => 'left',
  );
  if (leaves) void pause().then(() => leaving.abort());
  return answer;
}

async function topUp({ senderId }: TestSender): Promise<void> {
  await pause();
  await fund(api.database.db, senderId, { amount: 10_000, currency: 'EUR' });
}

const giftsOf = async ({ senderId }: TestSender): Promise<number> => {
  const { rows } = await api.database.pool.query(
    'select count(*)::int as n from gifts where sender_id = $1',
    [toUuid(senderId)],
  );
  return rows[0].n;
};

const isFinal = (answer: Answer) => answer !== 'left' && answer.status >= 400 && answer.retryable === false;

test('whatever the order at two processes: one gift per key, and no final refusal beside a 202', async () => {
  const request = fc.record({ process: fc.nat(1), leaves: fc.boolean() });
  const property = fc.asyncProperty(
    fc.scheduler(),
    fc.array(request, { minLength: 2, maxLength: 4 }),
    fc.constantFrom(1_000, 2_500, 100_000),
    fc.constantFrom({}, { external_id: 'the order' }),
    async (scheduler, requests, amountMinor, more) => {
      pause = async () => undefined;
      const sender = await api.sender({ amountMinor });
      const asked = { key: freshKey(), body: { ...giftRequest, ...more } };
      pause = () => scheduler.schedule(Promise.resolve());
      const answers = requests.map(({ process, leaves }) =>
        ask(servers[process] as Server, sender, asked, leaves),
      );
      const [, ...got] = await scheduler.waitFor(Promise.all([topUp(sender), ...answers]));
      pause = async () => undefined;
      await scheduler.waitIdle();
      const last = await ask(servers[0] as Server, sender, asked, false);
      const all = [...got, last];
      expect(last).toMatchObject({ status: 202 });
      expect(all.filter(isFinal)).toEqual([]);
      expect(await giftsOf(sender)).toBe(1);
    },
  );
  await fc.assert(property, { numRuns: 40 });
}, 120_000);
