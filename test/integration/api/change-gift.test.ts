import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import request from 'supertest';
import { newId, toUuid } from '../../../services/domain/ids.ts';
import {
  deliver,
  freshKey,
  giftRequest,
  postGift,
  startTestApi,
  stateOf,
  type TestApi,
  type TestSender,
} from '../../support/api.ts';
import { balances } from '../../support/gifts.ts';

let api: TestApi;
let sender: TestSender;
beforeAll(async () => {
  api = await startTestApi({ settings: { resendCooldownSeconds: 300, resendLimit: 2 } });
  sender = await api.sender();
});
afterAll(() => api.close());

const post = (path: string, as = sender, key = freshKey()) =>
  request(api.app)
    .post(path)
    .set(...as.auth)
    .set('Idempotency-Key', key);

const fundsOf = async (of: TestSender) =>
  (await balances(api.database.db, { senderId: of.senderId, apiKeyId: newId('key') })).available;

/** As if every mail of this gift had been asked for an hour ago. */
async function anHourPasses(giftId: string): Promise<void> {
  const hourAgo = new Date(Date.now() - 3_600_000);
  await api.database.pool.query('update deliveries set created_at = $1 where gift_id = $2', [
    hourAgo,
    toUuid(giftId as `gft_${string}`),
  ]);
}

describe('POST /v1/gifts/{id}/cancel', () => {
  test('200 before and after delivery: the money comes back, once', async () => {
    const own = await api.sender({ amountMinor: 10_000 });
    const { body: queued } = await postGift(api, own);
    const { body: delivered } = await postGift(api, own);
    await deliver(api, delivered.id);
    for (const { id } of [queued, delivered]) {
      const answer = await post(`/v1/gifts/${id}/cancel`, own);
      expect([answer.status, answer.body.state]).toEqual([200, 'cancelled']);
    }
    expect(await fundsOf(own)).toBe(10_000);
  });

  test('200 again with the same key, 409 state_conflict with another', async () => {
    const { body: gift } = await postGift(api, sender);
    const key = freshKey();
    const first = await post(`/v1/gifts/${gift.id}/cancel`, sender, key);
    const replay = await post(`/v1/gifts/${gift.id}/cancel`, sender, key);
    expect(replay.text).toBe(first.text);
    expect(replay.headers['idempotency-replayed']).toBe('true');
    const other = await post(`/v1/gifts/${gift.id}/cancel`);
    expect([other.status, other.body.code]).toEqual([409, 'state_conflict']);
  });

  test('404 for somebody else’s gift, which stays as it is', async () => {
    const { body: foreign } = await postGift(api, await api.sender());
    const answer = await post(`/v1/gifts/${foreign.id}/cancel`);
    expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    expect(await stateOf(api, foreign.id)).toBe('queued');
  });

  test('400 without a key', async () => {
    const { body: gift } = await postGift(api, sender);
    const answer = await request(api.app)
      .post(`/v1/gifts/${gift.id}/cancel`)
      .set(...sender.auth);
    expect([answer.status, answer.body.code]).toEqual([400, 'idempotency_key_missing']);
  });
});

describe('POST /v1/gifts/{id}/resend', () => {
  test('202 writes a delivery and its message; a replay writes none', async () => {
    const { body: gift } = await postGift(api, sender);
    await deliver(api, gift.id);
    await anHourPasses(gift.id);
    const before = api.published.length;
    const key = freshKey();
    const answer = await post(`/v1/gifts/${gift.id}/resend`, sender, key);
    expect([answer.status, answer.headers['location']]).toEqual([202, `/v1/gifts/${gift.id}`]);
    const replay = await post(`/v1/gifts/${gift.id}/resend`, sender, key);
    expect(replay.headers['idempotency-replayed']).toBe('true');
    const messages = api.published.slice(before).map(({ body }) => JSON.parse(body));
    expect(messages).toEqual([expect.objectContaining({ type: 'delivery.send', version: 1 })]);
    const deliveries = await api.database.db
      .selectFrom('deliveries')
      .select(['purpose', 'state'])
      .where('id', '=', toUuid(messages[0].id))
      .execute();
    expect(deliveries).toEqual([{ purpose: 'resend', state: 'pending' }]);
  });

  test('429 resend_too_soon says when; 409 resend_limit_reached after the last', async () => {
    const { body: gift } = await postGift(api, sender);
    await deliver(api, gift.id);
    const soon = await post(`/v1/gifts/${gift.id}/resend`);
    expect([soon.status, soon.body.code, soon.body.retryable]).toEqual([429, 'resend_too_soon', true]);
    expect(Number(soon.headers['retry-after'])).toBeGreaterThan(290);
    expect(soon.headers['retry-after']).toMatch(/^\d+$/);
    for (let i = 0; i < 2; i += 1) {
      await anHourPasses(gift.id);
      expect((await post(`/v1/gifts/${gift.id}/resend`)).status).toBe(202);
    }
    await anHourPasses(gift.id);
    const often = await post(`/v1/gifts/${gift.id}/resend`);
    expect([often.status, often.body.code]).toEqual([409, 'resend_limit_reached']);
  });

  test('two at once: one is sent', async () => {
    const { body: gift } = await postGift(api, sender);
    await deliver(api, gift.id);
    await anHourPasses(gift.id);
    const answers = await Promise.all([1, 2].map(() => post(`/v1/gifts/${gift.id}/resend`)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([202, 429]);
  });

  test('409 for a gift that is not delivered, and for one to a wallet', async () => {
    const { body: queued } = await postGift(api, sender);
    expect((await post(`/v1/gifts/${queued.id}/resend`)).body.code).toBe('state_conflict');
    const recipient = { type: 'wallet', address: '0x52908400098527886E0F7030069857D2E4169EE7' };
    const { body: wallet } = await postGift(api, sender, { ...giftRequest, recipient });
    await deliver(api, wallet.id);
    const answer = await post(`/v1/gifts/${wallet.id}/resend`);
    expect([answer.status, answer.body.detail]).toEqual([409, expect.stringContaining('claim_url')]);
  });
});

describe('the body of cancel and resend', () => {
  const accepted = async () => (await postGift(api, sender)).body.id as string;

  test('no body, an empty one and an empty object are one request', async () => {
    const path = `/v1/gifts/${await accepted()}/cancel`;
    const key = freshKey();
    const first = await post(path, sender, key);
    expect(first.status).toBe(200);
    const others = [
      await post(path, sender, key).type('json').send(''),
      await post(path, sender, key).type('text/plain').set('Transfer-Encoding', 'chunked').send(''),
      await post(path, sender, key).send({}),
    ];
    for (const { status, headers, body } of others) {
      expect([status, headers['idempotency-replayed'], body]).toEqual([200, 'true', first.body]);
    }
  });

  test.each(['cancel', 'resend'])('%s: anything else is refused, and nothing happens', async (verb) => {
    const id = await accepted();
    const path = `/v1/gifts/${id}/${verb}`;
    const field = await post(path).send({ reason: 'a mistake' });
    expect([field.status, field.body.errors]).toEqual([
      422,
      [{ pointer: '/reason', detail: 'is not a field of this request' }],
    ]);
    expect((await post(path).send([])).body.code).toBe('validation_failed');
    expect((await post(path).type('json').send('{"a":')).body.code).toBe('malformed_body');
    expect((await post(path).type('text/plain').send('now')).body.code).toBe('unsupported_media_type');
    expect(await stateOf(api, id)).toBe('queued');
  });

  test('what an earlier release accepted, as it looked at no body, is answered as it was', async () => {
    const path = `/v1/gifts/${await accepted()}/cancel`;
    const key = freshKey();
    const first = await post(path, sender, key);
    const again = await post(path, sender, key).send({ reason: 'a mistake' });
    expect([again.status, again.body]).toEqual([200, first.body]);
  });
});
