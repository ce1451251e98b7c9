import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import request from 'supertest';
import { claimToken } from '../../../services/domain/gifts/claim-token.ts';
import { type GiftId, newId, toUuid } from '../../../services/domain/ids.ts';
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
import { keyring } from '../../support/gifts.ts';

let api: TestApi;
let sender: TestSender;
beforeAll(async () => {
  api = await startTestApi();
  sender = await api.sender();
});
afterAll(() => api.close());

const codeForm = /[0-9A-Z]{5}(-[0-9A-Z]{5}){3}-[0-9A-Z*~$=]/;

async function deliveredGift(change: object = {}): Promise<{ id: GiftId; token: string }> {
  const { body: gift } = await postGift(api, sender, { ...giftRequest, ...change });
  await deliver(api, gift.id);
  return { id: gift.id, token: claimToken(keyring, gift.id, 1) };
}

const open = (token: string) => request(api.app).get(`/claim/${token}`).set('Accept', 'text/html');
const claim = (token: string, key = freshKey()) =>
  request(api.app).post('/v1/claims').set('Idempotency-Key', key).send({ token });

async function claimsCounted(): Promise<number> {
  const { body } = await api.deps.metrics.render();
  return Number(/^largesse_gifts_claimed_total (\d+)$/m.exec(body)?.[1]);
}

/** Everything that a claim could change. */
async function everything(): Promise<string> {
  const tables = ['gifts', 'vouchers', 'claims', 'audit_records', 'outbox', 'idempotency_keys'] as const;
  const rows = await Promise.all(
    tables.map((table) => api.database.db.selectFrom(table).selectAll().orderBy('created_at').execute()),
  );
  return JSON.stringify(rows);
}

describe('GET /claim/{token}', () => {
  test('P53: opening the link, as often as a mail scanner likes, consumes nothing', async () => {
    const { id, token } = await deliveredGift();
    const before = await everything();
    for (let i = 0; i < 5; i += 1) expect((await open(token)).status).toBe(200);
    await request(api.app).head(`/claim/${token}`);
    expect(await everything()).toBe(before);
    expect(await stateOf(api, id)).toBe('delivered');
    expect((await claim(token)).status).toBe(201);
  });

  test('200 a page that works without a script, says who and what, and holds no code', async () => {
    const { token } = await deliveredGift();
    const { text, headers } = await open(token);
    expect(text).toContain('<html lang="en">');
    expect(text).toContain('name="viewport"');
    expect(text).toContain('Charles sent you a gift');
    expect(text).toContain('€25.00');
    expect(text).toContain('Well done, Ada');
    expect(text).toMatch(/<form method="post" action="\/v1\/claims">/);
    expect(text).toMatch(/name="idempotency_key" value="[0-9a-f-]{36}"/);
    expect(text).not.toMatch(/<script|ada@example/);
    expect(text).not.toMatch(codeForm);
    expect(headers['cache-control']).toBe('no-store');
    expect(headers['referrer-policy']).toBe('no-referrer');
    expect(headers['content-security-policy']).toMatch(/default-src 'none'.*form-action 'self'/);
  });

  test('200 whatever the sender wrote stays text', async () => {
    const { token } = await deliveredGift({
      message: '</blockquote><script>alert(1)</script>',
      sender_name: '"><img src=x>',
    });
    const { text } = await open(token);
    expect(text).not.toMatch(/<script|<img/);
    expect(text).toContain('&#60;script&#62;');
  });

  test('404 alike for a made-up token, a wrong proof and an old version', async () => {
    const { id, token } = await deliveredGift();
    const wrong = [
      'nonsense',
      `${token.slice(0, -1)}${token.endsWith('0') ? '1' : '0'}`,
      claimToken(keyring, newId('gft'), 1),
      claimToken(keyring, id, 2),
    ];
    const answers = await Promise.all(wrong.map((bad) => open(bad)));
    for (const answer of answers) expect([answer.status, answer.text]).toEqual([404, answers[0]?.text]);
  });

  test('200 says so when the gift was claimed, is on its way, or has been cancelled', async () => {
    const claimed = await deliveredGift();
    await claim(claimed.token);
    expect((await open(claimed.token)).text).toContain('claimed already');
    const { body: queued } = await postGift(api, sender);
    expect((await open(claimToken(keyring, queued.id, 1))).text).toContain('still on its way');
    const cancelled = await deliveredGift();
    await request(api.app)
      .post(`/v1/gifts/${cancelled.id}/cancel`)
      .set(...sender.auth)
      .set('Idempotency-Key', freshKey());
    const { text } = await open(cancelled.token);
    expect(text).toContain('no longer available');
    expect(text).not.toContain('<form');
  });

  test('the token stands in no log line', async () => {
    const { token } = await deliveredGift();
    await open(token);
    await claim(token);
    const proof = token.slice(30);
    expect(JSON.stringify(api.logged())).not.toContain(proof);
    expect(api.logged().some(({ route }) => route === '/claim/[token]')).toBe(true);
  });
});

describe('POST /v1/claims', () => {
  test('201 gives the code, once; the gift is claimed and the audit knows', async () => {
    const { id, token } = await deliveredGift();
    const answer = await claim(token);
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({
      object: 'claim',
      gift_id: id,
      voucher: { value: { amount: 2_500, currency: 'EUR' }, expires_at: null },
    });
    expect(answer.body.voucher.code).toMatch(codeForm);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(await stateOf(api, id)).toBe('claimed');
    const { code_hash: hash } = await api.database.db
      .selectFrom('vouchers')
      .select('code_hash')
      .where('gift_id', '=', toUuid(id))
      .executeTakeFirstOrThrow();
    const { hashCode } = await import('../../../services/domain/vouchers/code.ts');
    expect(hashCode(keyring, answer.body.voucher.code).equals(hash)).toBe(true);
    const audit = await api.database.db
      .selectFrom('audit_records')
      .select(['action', 'actor_kind'])
      .where('subject_id', '=', toUuid(id))
      .where('action', '=', 'gift.claimed')
      .execute();
    expect(audit).toEqual([{ action: 'gift.claimed', actor_kind: 'recipient' }]);
  });

  test('the same key gets the same claim and code again; another gets 409 state_conflict', async () => {
    const { token } = await deliveredGift();
    const key = freshKey();
    const first = await claim(token, key);
    const again = await claim(token, key);
    expect([again.status, again.body]).toEqual([201, first.body]);
    expect(again.headers['idempotency-replayed']).toBe('true');
    const other = await claim(token);
    expect([other.status, other.body.code]).toEqual([409, 'state_conflict']);
    expect(JSON.stringify(other.body)).not.toMatch(codeForm);
  });

  test('a key belongs to its link: on another it is as good as new, and finds no code of the first', async () => {
    const [one, other] = [await deliveredGift(), await deliveredGift()];
    const key = freshKey();
    const first = await claim(one.token, key);
    const second = await claim(other.token, key);
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.headers['idempotency-replayed']).toBeUndefined();
    expect([first.body.gift_id, second.body.gift_id]).toEqual([one.id, other.id]);
    expect(second.body.voucher.code).not.toBe(first.body.voucher.code);
  });

  test('the same key twenty times at once: one claim, and its answer for all', async () => {
    const { token } = await deliveredGift();
    const key = freshKey();
    const before = await claimsCounted();
    const answers = await Promise.all(Array.from({ length: 20 }, () => claim(token, key)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(answers.filter(({ headers }) => headers['idempotency-replayed'] === 'true')).toHaveLength(19);
    expect(await claimsCounted()).toBe(before + 1);
  });

  test('twenty keys at once: one claim', async () => {
    const { token } = await deliveredGift();
    const answers = await Promise.all(Array.from({ length: 20 }, () => claim(token)));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(19);
  });

  test('a form is answered with a page: the code, and after a reload the same page', async () => {
    const { token } = await deliveredGift();
    const page = await open(token);
    const key = /name="idempotency_key" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
    const submit = () =>
      request(api.app)
        .post('/v1/claims')
        .type('form')
        .set('Accept', 'text/html,*/*;q=0.8')
        .send({ token, idempotency_key: key });
    const first = await submit();
    expect([first.status, first.type]).toEqual([200, 'text/html']);
    expect(first.text).toMatch(codeForm);
    expect(first.headers['cache-control']).toBe('no-store');
    expect((await submit()).text).toBe(first.text);
    const late = await request(api.app)
      .post('/v1/claims')
      .type('form')
      .set('Accept', 'text/html')
      .send({ token, idempotency_key: 'another' });
    expect([late.status, late.type]).toEqual([409, 'text/html']);
    expect(late.text).toContain('claimed already');
  });

  test('JSON is answered with JSON, taken or refused, whatever the browser accepts', async () => {
    const { token } = await deliveredGift();
    const post = (body: object) =>
      request(api.app)
        .post('/v1/claims')
        .set('Accept', 'text/html,application/json;q=0.9,*/*;q=0.8')
        .set('Idempotency-Key', 'a-page-of-ours')
        .send(body);
    const taken = await post({ token });
    expect([taken.status, taken.type]).toEqual([201, 'application/json']);
    for (const body of [{ token: 'clt_nobody' }, { token, colour: 'red' }, {}]) {
      expect((await post(body)).type).toBe('application/problem+json');
    }
  });

  test('409 with Retry-After while the gift is still on its way', async () => {
    const { body: queued } = await postGift(api, sender);
    const answer = await claim(claimToken(keyring, queued.id, 1));
    const { code, retryable } = answer.body;
    expect([answer.status, code, retryable]).toEqual([409, 'claim_not_ready', true]);
    expect(answer.headers['retry-after']).toBe('5');
  });

  test('410 when it has expired, even before the sweep says so, and when it was cancelled', async () => {
    const expired = await deliveredGift({ expires_at: new Date(Date.now() + 3_600_000).toISOString() });
    await api.database.pool.query(`update gifts set expires_at = now() - interval '1 second' where id = $1`, [
      toUuid(expired.id),
    ]);
    const cancelled = await deliveredGift();
    await request(api.app)
      .post(`/v1/gifts/${cancelled.id}/cancel`)
      .set(...sender.auth)
      .set('Idempotency-Key', freshKey());
    for (const { token } of [expired, cancelled]) {
      const answer = await claim(token);
      expect([answer.status, answer.body.code]).toEqual([410, 'claim_unavailable']);
    }
  });

  test('400 without a key, 404 for a token that is not ours, 422 for another field', async () => {
    const { token } = await deliveredGift();
    const keyless = await request(api.app).post('/v1/claims').send({ token });
    expect([keyless.status, keyless.body.code]).toEqual([400, 'idempotency_key_missing']);
    expect((await claim('clt_no')).status).toBe(404);
    const extra = await request(api.app)
      .post('/v1/claims')
      .set('Idempotency-Key', 'k')
      .send({ token, pin: 1 });
    expect([extra.status, extra.body.errors[0].pointer]).toEqual([422, '/pin']);
  });
});
