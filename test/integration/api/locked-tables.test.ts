import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import request from 'supertest';
import { postGift, startTestApi, type TestApi, type TestSender } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';

let api: TestApi;
let sender: TestSender;
beforeAll(async () => {
  api = await startTestApi();
  sender = await api.sender({ roles: ['sender', 'operator'] });
});
afterAll(() => api.close());

async function waitingForLock(): Promise<number> {
  const { rows } = await api.database.pool.query<{ waiting: number }>(
    `select count(*)::int as waiting from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return rows[0]?.waiting ?? 0;
}

test.each([
  ['dead_letters', '/v1/dead-letters'],
  ['delivery_attempts', '/v1/gifts/:id/timeline'],
  ['queue_pauses', '/v1/queues'],
])(
  'whoever reads %s while somebody holds it waits by themselves: gifts are accepted meanwhile',
  async (table, path) => {
    const gift = await postGift(api, sender);
    const { max: connections = 0 } = api.database.pool.options;
    const holder = new pg.Client({ connectionString: api.database.url });
    await holder.connect();
    try {
      await holder.query('begin');
      await holder.query(`lock table ${table} in access exclusive mode`);
      let ended = 0;
      const readers = Array.from({ length: 2 * connections }, async () => {
        const answer = await request(api.app)
          .get(path.replace(':id', gift.body.id))
          .set(...sender.auth);
        ended += 1;
        return answer.status;
      });
      await eventually(async () => expect(await waitingForLock()).toBe(connections / 2));
      const accepted = await Promise.all(Array.from({ length: 5 }, () => postGift(api, sender)));
      expect(accepted.map(({ status }) => status)).toEqual([202, 202, 202, 202, 202]);
      expect([ended, await waitingForLock()]).toEqual([0, connections / 2]);
      await holder.query('rollback');
      expect(await Promise.all(readers)).toEqual(readers.map(() => 200));
    } finally {
      await holder.end();
    }
  },
);

test.each(['topups', 'vouchers', 'claims', 'deliveries', 'delivery_attempts', 'ledger_closing'])(
  'an accept does not ask for %s, and waits for nobody who holds it',
  async (table) => {
    const holder = new pg.Client({ connectionString: api.database.url });
    await holder.connect();
    try {
      await holder.query('begin');
      await holder.query(`lock table ${table} in access exclusive mode`);
      expect((await postGift(api, sender)).status).toBe(202);
    } finally {
      await holder.end();
    }
  },
);

test('503: who finds no connection among those for readers in time may try again', async () => {
  const holder = new pg.Client({ connectionString: api.database.url });
  await holder.connect();
  try {
    await holder.query('begin');
    await holder.query('lock table dead_letters in access exclusive mode');
    const { max: connections = 0 } = api.database.pool.options;
    const answers = await Promise.all(
      Array.from({ length: connections }, () =>
        request(api.app)
          .get('/v1/dead-letters')
          .set(...sender.auth),
      ),
    );
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.retryable}`))).toEqual(
      new Set(['503 true']),
    );
    await holder.query('rollback');
  } finally {
    await holder.end();
  }
  const after = await request(api.app)
    .get('/v1/dead-letters')
    .set(...sender.auth);
  expect(after.status).toBe(200);
}, 30_000);
