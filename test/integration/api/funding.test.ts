import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import request from 'supertest';
import { newId } from '../../../services/domain/ids.ts';
import {
  freshKey,
  giftRequest,
  postGift,
  startTestApi,
  type TestApi,
  type TestSender,
} from '../../support/api.ts';

let api: TestApi;
let admin: TestSender;
beforeAll(async () => {
  api = await startTestApi();
  admin = await api.sender({ roles: ['admin'], amountMinor: 0 });
});
afterAll(() => api.close());

const topUp = (body: object, key = freshKey(), as = admin) =>
  request(api.app)
    .post('/v1/topups')
    .set(...as.auth)
    .set('Idempotency-Key', key)
    .send(body);

const accounts = async (of: TestSender) =>
  (
    await request(api.app)
      .get('/v1/funding-accounts')
      .set(...of.auth)
  ).body.data as {
    currency: string;
    balance: { available: number; reserved: number };
  }[];

const invariants = async () => {
  const auditor = await api.sender({ roles: ['auditor'], amountMinor: 0 });
  return await request(api.app)
    .get('/v1/ledger/invariants')
    .set(...auditor.auth);
};

describe('POST /v1/topups', () => {
  test('201 credits money, and makes the funding account with the first of its currency', async () => {
    const sender = await api.sender({ amountMinor: 0 });
    const body = {
      sender_id: sender.senderId,
      type: 'manual',
      value: { amount: 5_000, currency: 'CHF' },
      reference: 'INV-7',
    };
    const first = await topUp(body);
    expect(first.status).toBe(201);
    expect(first.body).toMatchObject({
      object: 'topup',
      state: 'credited',
      sender_id: sender.senderId,
      value: { amount: 5_000, currency: 'CHF' },
      reference: 'INV-7',
    });
    const second = await topUp(body);
    expect(second.body.funding_account_id).toBe(first.body.funding_account_id);
    expect(await accounts(sender)).toEqual([
      expect.objectContaining({ currency: 'CHF', balance: { available: 10_000, reserved: 0 } }),
    ]);
  });

  test('201 again for the same key: credited once', async () => {
    const sender = await api.sender({ amountMinor: 0 });
    const key = freshKey();
    const body = { sender_id: sender.senderId, value: { amount: 700, currency: 'EUR' } };
    const first = await topUp(body, key);
    const replay = await topUp(body, key);
    expect(replay.body).toEqual(first.body);
    expect(replay.headers['idempotency-replayed']).toBe('true');
    expect((await accounts(sender))[0]?.balance.available).toBe(700);
  });

  test('201 for ten first top-ups at once: one account holds all of them', async () => {
    const sender = await api.sender({ amountMinor: 0 });
    const body = { sender_id: sender.senderId, value: { amount: 100, currency: 'NOK' } };
    const answers = await Promise.all(Array.from({ length: 10 }, () => topUp(body)));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 201));
    expect(await accounts(sender)).toEqual([
      expect.objectContaining({ currency: 'NOK', balance: { available: 1_000, reserved: 0 } }),
    ]);
  });

  test('403 for everybody but an admin', async () => {
    const sender = await api.sender({ roles: ['sender', 'operator', 'auditor'] });
    const answer = await topUp({ value: { amount: 1, currency: 'EUR' } }, freshKey(), sender);
    expect([answer.status, answer.body.code]).toEqual([403, 'forbidden']);
    expect(answer.body.detail).toContain('admin');
  });

  test('422 for a sender who does not exist, for nothing, for too much', async () => {
    const value = { amount: 1, currency: 'EUR' };
    const cases: [object, string][] = [
      [{ sender_id: newId('sen'), value }, '/sender_id'],
      [{ sender_id: 'me', value }, '/sender_id'],
      [{ value: { ...value, amount: 0 } }, '/value/amount'],
      [{ value: { ...value, amount: 100_000_000_001 } }, '/value/amount'],
      [{ type: 'stripe', value }, '/type'],
    ];
    for (const [body, pointer] of cases) {
      const answer = await topUp(body);
      expect([answer.status, answer.body.errors[0].pointer]).toEqual([422, pointer]);
    }
  });
});

describe('GET /v1/funding-accounts', () => {
  test('200 own balances: what is free, and what gifts have reserved', async () => {
    const sender = await api.sender({ amountMinor: 10_000 });
    await postGift(api, sender);
    expect(await accounts(sender)).toEqual([
      expect.objectContaining({ object: 'funding_account', balance: { available: 7_500, reserved: 2_500 } }),
    ]);
  });
});

describe('GET /v1/ledger/invariants', () => {
  test('200 all hold after gifts of every fate, each with what was expected and found', async () => {
    const sender = await api.sender();
    const { deliver } = await import('../../support/api.ts');
    const made = await Promise.all(Array.from({ length: 4 }, () => postGift(api, sender, giftRequest)));
    const ids = made.map(({ body }) => body.id as string);
    await deliver(api, ids[0] ?? '');
    await deliver(api, ids[1] ?? '');
    for (const id of ids.slice(1, 3)) {
      await request(api.app)
        .post(`/v1/gifts/${id}/cancel`)
        .set(...sender.auth)
        .set('Idempotency-Key', freshKey());
    }
    const answer = await invariants();
    expect(answer.status).toBe(200);
    expect(answer.body.ok).toBe(true);
    expect(answer.body.data.length).toBeGreaterThan(10);
    for (const invariant of answer.body.data)
      expect(invariant).toMatchObject({ expected: 0, actual: 0, ok: true });
  });

  test('200 and ok: false when somebody has been at the tables', async () => {
    const { rows } = await api.database.pool.query(
      `insert into ledger_balances (account_id, seq, balance_minor, folded_at)
        select id, 1000000, balance_minor + 1, now() from ledger_account_balances where kind = 'available' limit 1
        returning account_id`,
    );
    const answer = await invariants();
    expect(answer.body.ok).toBe(false);
    const broken = answer.body.data.filter(({ ok }: { ok: boolean }) => !ok);
    expect(broken).toEqual([
      expect.objectContaining({ name: 'balances_match_entries', expected: 0, actual: 1 }),
    ]);
    const { body: metrics } = await api.deps.metrics.render();
    expect(metrics).toContain('largesse_ledger_invariant_ok{invariant="balances_match_entries"} 0');
    await api.database.pool.query('delete from ledger_balances where account_id = $1 and seq = 1000000', [
      rows[0].account_id,
    ]);
  });
});
