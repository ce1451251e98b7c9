import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import request from 'supertest';
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
import { keyring } from '../../support/gifts.ts';

let api: TestApi;
let sender: TestSender;
beforeAll(async () => {
  api = await startTestApi();
  sender = await api.sender();
});
afterAll(() => api.close());

const giftsOf = async (of: TestSender) =>
  (
    await api.database.db
      .selectFrom('gifts')
      .select('id')
      .where('sender_id', '=', toUuid(of.senderId))
      .execute()
  ).length;

describe('Idempotency-Key', () => {
  test('400 when it is missing, and when it is blank', async () => {
    for (const key of [undefined, '  ']) {
      const post = request(api.app)
        .post('/v1/gifts')
        .set(...sender.auth);
      const answer = await (key === undefined ? post : post.set('Idempotency-Key', key)).send(giftRequest);
      expect(answer.status).toBe(400);
      expect(answer.body.code).toBe('idempotency_key_missing');
    }
  });

  test('422 naming the header when it is longer than 255 characters; 255 are fine', async () => {
    const answer = await postGift(api, sender, giftRequest, 'k'.repeat(256));
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toEqual([
      { header: 'Idempotency-Key', detail: 'has more than 255 characters' },
    ]);
    expect((await postGift(api, sender, giftRequest, 'k'.repeat(255))).status).toBe(202);
  });

  test('a replay gets the first answer, and one gift exists', async () => {
    const fresh = await api.sender();
    const key = freshKey();
    const first = await postGift(api, fresh, giftRequest, key);
    const published = api.published.length;
    // The same request with its keys in another order is the same request.
    const reordered = Object.fromEntries(Object.entries(giftRequest).reverse());
    const second = await postGift(api, fresh, reordered, key);
    expect(second.status).toBe(first.status);
    // As text: the order of keys, and with it signatures and hashes of the body, stays too.
    expect(second.text).toBe(first.text);
    expect(second.headers['location']).toBe(first.headers['location']);
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(await giftsOf(fresh)).toBe(1);
    expect(api.published.length).toBe(published);
  });

  test.each([
    ['deliver_at', { deliver_at: 1_500 }],
    ['expires_at', { expires_at: 601_500 }],
  ])('a replay gets the first answer even when %s has passed meanwhile', async (_field, after) => {
    const [fresh, other] = [await api.sender(), await api.sender()];
    const times = Object.fromEntries(
      Object.entries(after).map(([field, ms]) => [field, new Date(Date.now() + ms).toISOString()]),
    );
    const key = freshKey();
    const first = await postGift(api, fresh, { ...giftRequest, ...times }, key);
    expect(first.status).toBe(202);
    await eventually(async () => {
      const unused = await postGift(api, other, { ...giftRequest, ...times });
      expect([unused.status, unused.body.code]).toEqual([422, 'validation_failed']);
    });
    const again = await postGift(api, fresh, { ...giftRequest, ...times }, key);
    expect([again.status, again.headers['idempotency-replayed']]).toEqual([202, 'true']);
    expect(again.body).toEqual(first.body);
    const changed = await postGift(api, fresh, { ...giftRequest, ...times, message: 'other' }, key);
    expect([changed.status, changed.body.code]).toEqual([422, 'idempotency_key_mismatch']);
    expect(await giftsOf(fresh)).toBe(1);
  });

  test('422 idempotency_key_mismatch for another body, another path', async () => {
    const key = freshKey();
    const { body: gift } = await postGift(api, sender, giftRequest, key);
    const other = await postGift(api, sender, { ...giftRequest, message: 'other' }, key);
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_mismatch']);
    const path = await request(api.app)
      .post(`/v1/gifts/${gift.id}/cancel`)
      .set(...sender.auth)
      .set('Idempotency-Key', key);
    expect([path.status, path.body.code]).toEqual([422, 'idempotency_key_mismatch']);
  });

  test('two senders may use the same key', async () => {
    const key = freshKey();
    const [a, b] = [await api.sender(), await api.sender()];
    const answers = [await postGift(api, a, giftRequest, key), await postGift(api, b, giftRequest, key)];
    expect(answers.map(({ status }) => status)).toEqual([202, 202]);
    expect(answers[0]?.body.id).not.toBe(answers[1]?.body.id);
  });

  test('409 idempotency_key_in_progress while the first request runs, with Retry-After', async () => {
    const key = freshKey();
    const held = await api.database.pool.connect();
    try {
      await held.query('begin');
      await held.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [
        `${toUuid(sender.senderId)}:${key}`,
      ]);
      const answer = await postGift(api, sender, giftRequest, key);
      expect([answer.status, answer.body.code, answer.body.retryable]).toEqual([
        409,
        'idempotency_key_in_progress',
        true,
      ]);
      expect(answer.headers['retry-after']).toBe('1');
    } finally {
      await held.query('rollback');
      held.release();
    }
    expect((await postGift(api, sender, giftRequest, key)).status).toBe(202);
  });

  test('twenty at once make one gift: each is told the same, or to come back', async () => {
    const fresh = await api.sender();
    const key = freshKey();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => postGift(api, fresh, giftRequest, key)),
    );
    const ids = new Set(answers.filter(({ status }) => status === 202).map(({ body }) => body.id));
    expect(ids.size).toBe(1);
    for (const { status } of answers) expect([202, 409]).toContain(status);
    expect(await giftsOf(fresh)).toBe(1);
  });
});

test('a repeat gets the first answer also when the request would be refused by now: its check became stricter', async () => {
  const body = {
    recipient: { email: 'ada@example.com', type: 'email' },
    value: { amount: 100, currency: 'BGN' },
  };
  const sorted = Object.entries(body).map(([name, part]) => [name, Object.entries(part)]);
  const key = freshKey();
  const refused = await postGift(api, sender, body, key);
  expect([refused.status, refused.body.code]).toEqual([422, 'validation_failed']);
  await api.database.db
    .insertInto('idempotency_keys')
    .values({
      scope_id: toUuid(sender.senderId),
      key,
      fingerprint: keyring.hash('request-fingerprint', `POST /v1/gifts\n${JSON.stringify(sorted)}`),
      status: 202,
      body: JSON.stringify({ id: 'gft_first' }),
      location: '/v1/gifts/gft_first',
    })
    .execute();
  const repeated = await postGift(api, sender, body, key);
  expect([repeated.status, repeated.body, repeated.headers['idempotency-replayed']]).toEqual([
    202,
    { id: 'gft_first' },
    'true',
  ]);
  const other = await postGift(api, sender, { ...body, value: { amount: 200, currency: 'BGN' } }, key);
  expect(other.status).toBe(422);
});
