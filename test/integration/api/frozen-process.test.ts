import { afterAll, beforeAll, expect, test } from '@jest/globals';
import request from 'supertest';
import { findApiKey } from '../../../services/database/queries/api-keys.ts';
import { toUuid } from '../../../services/domain/ids.ts';
import { createApiKey } from '../../../services/domain/senders/create-api-key.ts';
import { freshKey, startTestApi, type TestApi } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { balances, type FundedSender, fundedSender } from '../../support/gifts.ts';
import {
  type ApiProcess,
  acceptOverHttp,
  createSystem,
  giftBody,
  postJson,
  type System,
} from '../crash/system.ts';

const plenty = { RATE_LIMIT_IP_PER_MINUTE: '1000000', RATE_LIMIT_KEY_PER_MINUTE: '1000000' };

let system: System;
let frozen: ApiProcess;
/** Another API on the same database, in this process. */
let awake: TestApi;
beforeAll(async () => {
  system = await createSystem();
  frozen = await system.startApi(plenty);
  const { db } = system.database;
  const findKey = (hash: Buffer) => findApiKey(db, hash);
  awake = await startTestApi({ deps: { db, keyring: system.keyring, findKey } });
}, 60_000);
afterAll(async () => {
  await system.end();
  await awake.close();
});

const give = ({ key }: { key: string }, index: number) =>
  request(awake.app)
    .post('/v1/gifts')
    .set('Authorization', `Bearer ${key}`)
    .set('Idempotency-Key', freshKey())
    .send(giftBody(index));

async function anotherSender(): Promise<FundedSender & { key: string }> {
  const sender = await fundedSender(system.database.db);
  const draft = { ...sender, name: 'test', roles: ['sender' as const], scopes: null, expiresAt: null };
  return { ...sender, key: (await createApiKey(system.database.db, system, draft)).key };
}

/** Sessions that hold a lock on rows or wait for one, and transactions that wait for a word of their process. */
async function heldUp(): Promise<unknown[]> {
  const { rows } = await system.database.pool.query(`
    select state, wait_event_type, left(query, 60) as query from pg_stat_activity
    where application_name like 'largesse-api%'
      and (wait_event_type = 'Lock' or state like 'idle in transaction%')`);
  return rows;
}

test('a process that is frozen amid cancels holds nobody up: neither others nor the same sender', async () => {
  const { sender } = system;
  const other = await anotherSender();
  const ids = await acceptOverHttp(
    frozen,
    sender,
    Array.from({ length: 40 }, (_, index) => giftBody(index)),
  );
  const cancels = ids.map((id) => postJson(frozen, sender, `/v1/gifts/${id}/cancel`, {}));
  const { length: whole } = ids;
  // Somewhere between the first cancel and the last one.
  const cancelled = async () =>
    Number(
      (await system.database.pool.query(`select count(*) from gifts where state = 'cancelled'`)).rows[0]
        .count,
    );
  await eventually(async () => expect(await cancelled()).toBeGreaterThan(0), { intervalMs: 1 });
  frozen.freeze();
  try {
    for (let round = 0; round < 5; round += 1) {
      const answers = await Promise.all(
        [sender, other].flatMap((who) =>
          Array.from({ length: 5 }, (_, index) => give(who, 1_000 + index).then((answer) => answer)),
        ),
      );
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202));
      expect(await heldUp()).toEqual([]);
    }
  } finally {
    frozen.thaw();
  }
  const answers = await Promise.all(cancels);
  expect(answers.map(({ status }) => status)).toEqual(ids.map(() => 200));
  const { rows } = await system.database.pool.query(
    `select state, count(*)::integer as count from gifts where id = any ($1) group by state`,
    [ids.map((id) => toUuid(id))],
  );
  expect(rows).toEqual([{ state: 'cancelled', count: whole }]);
  expect(await balances(system.database.db, other)).toMatchObject({ total: 0 });
}, 60_000);
