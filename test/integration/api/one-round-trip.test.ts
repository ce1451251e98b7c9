import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import request from 'supertest';
import { claimToken } from '../../../services/domain/gifts/claim-token.ts';
import { toUuid } from '../../../services/domain/ids.ts';
import {
  deliver,
  freshKey,
  postGift,
  startTestApi,
  type TestApi,
  type TestSender,
} from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { keyring } from '../../support/gifts.ts';

let api: TestApi;
let sender: TestSender;
beforeAll(async () => {
  api = await startTestApi({ settings: { resendCooldownSeconds: 0, resendLimit: 100 } });
  sender = await api.sender({ roles: ['sender', 'admin'] });
});
afterAll(() => api.close());

type Gift = { id: `gft_${string}` };

async function deliveredGift(): Promise<Gift> {
  const { body } = await postGift(api, sender);
  await deliver(api, body.id);
  return body;
}

const post = (path: string, body: object = {}, key = freshKey()) =>
  request(api.app)
    .post(path)
    .set(...sender.auth)
    .set('Idempotency-Key', key)
    .send(body);

const topup = { value: { amount: 500, currency: 'EUR' } };
const verbs: [string, number, (gift: Gift, key?: string) => request.Test][] = [
  ['cancel', 200, ({ id }, key) => post(`/v1/gifts/${id}/cancel`, {}, key)],
  ['resend', 202, ({ id }, key) => post(`/v1/gifts/${id}/resend`, {}, key)],
  ['claim', 201, ({ id }, key) => post('/v1/claims', { token: claimToken(keyring, id, 1) }, key)],
  ['top up', 201, (_gift, key) => post('/v1/topups', topup, key)],
];

/** Every statement that the API sends while `work` runs. */
async function statementsOf(work: () => Promise<unknown>): Promise<string[]> {
  const sent: string[] = [];
  const original = pg.Client.prototype.query;
  pg.Client.prototype.query = function spied(this: pg.Client, ...args: unknown[]) {
    const [first] = args;
    sent.push(typeof first === 'string' ? first : (first as { text: string }).text);
    return Reflect.apply(original, this, args);
  } as typeof original;
  try {
    await work();
  } finally {
    pg.Client.prototype.query = original;
  }
  return sent;
}

describe('no lock is held across a round trip', () => {
  test.each(verbs)(
    '%s opens no transaction: what it locks, its one statement lets go of',
    async (_name, status, act) => {
      const gift = await deliveredGift();
      const sent = await statementsOf(async () => expect((await act(gift)).status).toBe(status));
      expect(sent.filter((text) => /^\s*(begin|start transaction|savepoint|commit)/i.test(text))).toEqual([]);
      const locking = sent.filter((text) =>
        /insert into (deliveries|claims|topups|audit_records)|update gifts/.test(text),
      );
      expect(locking).toHaveLength(1);
    },
  );

  test.each(verbs.filter(([name]) => name !== 'top up'))(
    '%s of a gift that somebody has locked waits without a connection, is refused for now, and works after it',
    async (_name, status, act) => {
      const gift = await deliveredGift();
      const holder = await api.database.pool.connect();
      await holder.query('begin');
      await holder.query('select from gifts where id = $1 for update', [toUuid(gift.id)]);
      const key = freshKey();
      const waiting = Array.from({ length: 30 }, (_, index) =>
        act(gift, index === 0 ? key : freshKey()).then((a) => a),
      );
      const others = Array.from({ length: 20 }, () => postGift(api, sender).then((answer) => answer.status));
      expect(new Set(await Promise.all(others))).toEqual(new Set([202]));
      const refused = await Promise.all(waiting);
      expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([503]));
      expect(refused[0]?.body).toMatchObject({ code: 'unavailable', retryable: true });
      expect(refused[0]?.headers['retry-after']).toBeDefined();
      await holder.query('rollback');
      holder.release();
      expect((await act(gift, key)).status).toBe(status);
    },
  );
});

describe('one key, one act, one answer', () => {
  test.each(verbs)(
    '%s: of many at once with one key, all are told the same or to wait; none is refused for good',
    async (_name, status, act) => {
      const gift = await deliveredGift();
      const key = freshKey();
      const answers = await Promise.all(
        Array.from({ length: 12 }, () => act(gift, key).then((answer) => answer)),
      );
      const codes = new Set(
        answers.map((answer) => (answer.status < 300 ? answer.status : answer.body.code)),
      );
      codes.delete('idempotency_key_in_progress');
      expect([...codes].every((code) => code === status || code === 201)).toBe(true);
      const bodies = answers.filter((answer) => answer.status < 300).map(({ body }) => JSON.stringify(body));
      expect(new Set(bodies).size).toBe(1);
      const replay = await act(gift, key);
      expect([JSON.stringify(replay.body), replay.headers['idempotency-replayed']]).toEqual([
        bodies[0],
        'true',
      ]);
    },
  );

  test('cancel: of many at once with keys of their own, one does it', async () => {
    const gift = await deliveredGift();
    const cancel = () => post(`/v1/gifts/${gift.id}/cancel`).then((answer) => answer);
    const answers = await Promise.all(Array.from({ length: 10 }, cancel));
    const told = answers.map((answer) => (answer.status === 200 ? 'cancelled' : answer.body.code));
    expect(told.toSorted()).toEqual(['cancelled', ...Array(9).fill('state_conflict')]);
    const { rows } = await api.database.pool.query(
      `select count(*)::integer from ledger_transfers where gift_id = $1 and kind = 'return'`,
      [toUuid(gift.id)],
    );
    expect(rows).toEqual([{ count: 1 }]);
  });

  test('resend: of many at once with keys of their own, no more are mailed than the limit allows', async () => {
    const limited = await startTestApi({ settings: { resendCooldownSeconds: 0, resendLimit: 2 } });
    try {
      const giver = await limited.sender();
      const { body: gift } = await postGift(limited, giver);
      await deliver(limited, gift.id);
      const resend = () =>
        request(limited.app)
          .post(`/v1/gifts/${gift.id}/resend`)
          .set(...giver.auth)
          .set('Idempotency-Key', freshKey())
          .then((answer) => answer.status);
      const answers = await Promise.all(Array.from({ length: 8 }, resend));
      expect(answers.filter((status) => status === 202)).toHaveLength(2);
      await eventually(() => expect(limited.published).toHaveLength(3));
    } finally {
      await limited.close();
    }
  });
});
