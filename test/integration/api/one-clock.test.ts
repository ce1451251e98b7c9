import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import request from 'supertest';
import { cacheKeys } from '../../../services/api/key-cache.ts';
import { findApiKey } from '../../../services/database/queries/api-keys.ts';
import { toUuid } from '../../../services/domain/ids.ts';
import { freshKey, startTestApi, type TestApi, type TestSender } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { offBy } from '../../support/wrong-clock.ts';

let api: TestApi;
/** What this process remembers of keys it remembers for longer than any test takes. */
let remembering: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  const { db } = api.database;
  const findKey = cacheKeys((hash) => findApiKey(db, hash), {
    maxAgeMs: 600_000,
    maxEntries: 100,
    nowMs: () => performance.now(),
  });
  remembering = await startTestApi({ deps: { db, findKey } });
});
afterEach(() => {
  jest.useRealTimers();
});
afterAll(async () => {
  await remembering.close();
  await api.close();
});

async function endsIn(sender: TestSender, seconds: number): Promise<void> {
  await api.database.pool.query(
    'update api_keys set expires_at = clock_timestamp() + make_interval(secs => $2) where sender_id = $1',
    [toUuid(sender.senderId), seconds],
  );
}

const list = (at: TestApi, sender: TestSender) =>
  request(at.app)
    .get('/v1/gifts')
    .set(...sender.auth);

describe.each([-10, 10])('one clock, with a pod %i minutes off', (minutes) => {
  test('a key ends when the database says so, and not before', async () => {
    const [over, left] = [await api.sender(), await api.sender()];
    await endsIn(over, -60);
    await endsIn(left, 60);
    offBy(minutes);
    const [refused, taken] = [await list(api, over), await list(api, left)];
    expect([refused.status, refused.body.detail]).toEqual([401, 'the API key has expired']);
    expect(taken.status).toBe(200);
  });

  test('P84: a key that is remembered ends at its time, too', async () => {
    const sender = await api.sender();
    await endsIn(sender, 2);
    offBy(minutes);
    expect((await list(remembering, sender)).status).toBe(200);
    await eventually(async () => expect((await list(remembering, sender)).status).toBe(401));
    const { rows } = await api.database.pool.query(
      'select 1 from api_keys where sender_id = $1 and expires_at > clock_timestamp()',
      [toUuid(sender.senderId)],
    );
    expect(rows).toEqual([]);
  });

  test('money and the answer about the ledger are dated by the clock that dates transfers', async () => {
    const admin = await api.sender({ roles: ['admin', 'auditor'] });
    const { rows } = await api.database.pool.query<{ now: Date }>('select clock_timestamp() as now');
    const near = (text: string) => Math.abs(new Date(text).getTime() - Number(rows[0]?.now)) < 60_000;
    offBy(minutes);
    const topup = await request(api.app)
      .post('/v1/topups')
      .set(...admin.auth)
      .set('Idempotency-Key', freshKey())
      .send({ value: { amount: 100, currency: 'EUR' } });
    const invariants = await request(api.app)
      .get('/v1/ledger/invariants')
      .set(...admin.auth);
    expect([topup.status, near(topup.body.created_at)]).toEqual([201, true]);
    expect([invariants.status, near(invariants.body.checked_at)]).toEqual([200, true]);
    const records = await api.database.pool.query<{ created_at: Date }>(
      `select created_at from audit_records where action = 'funding.topped_up' and data ->> 'topup_id' = $1
       union all select created_at from topups where id = $1::uuid`,
      [toUuid(topup.body.id)],
    );
    expect(records.rows.every(({ created_at: at }) => near(at.toISOString()))).toBe(true);
  });
});
