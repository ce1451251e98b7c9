import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import request from 'supertest';
import {
  freshKey,
  giftRequest,
  postGift,
  startTestApi,
  type TestApi,
  type TestSender,
} from '../../support/api.ts';

let api: TestApi;
let sender: TestSender;
beforeAll(async () => {
  api = await startTestApi();
  sender = await api.sender();
});
afterAll(() => api.close());
afterEach(() => expect(api.logged().filter(({ level }) => level === 'error')).toEqual([]));

const postText = (body: string) =>
  request(api.app)
    .post('/v1/gifts')
    .set(...sender.auth)
    .set('Idempotency-Key', freshKey())
    .set('Content-Type', 'application/json')
    .send(body);

describe('422: a time that can be written can be refused, however far it is from today', () => {
  const times = [
    '9999-12-31T23:59:59-23:59',
    '9999-12-31T23:59:59-00:01',
    '9999-12-31T23:59:59Z',
    '9999-12-31T23:59:59+23:59',
    '5000-02-28T12:00:00Z',
    '1970-01-01T00:00:00Z',
    '1600-02-29T00:00:00Z',
    '0001-01-01T00:00:00+23:59',
    '0000-01-01T00:00:00+23:59',
    '0000-01-01T00:00:00Z',
  ];
  const cases = ['deliver_at', 'expires_at'].flatMap((field) => times.map((time) => [field, time] as const));
  test.each(cases)('%s %s', async (field, time) => {
    for (const dryRun of ['', '?dry_run=true']) {
      const answer = await request(api.app)
        .post(`/v1/gifts${dryRun}`)
        .set(...sender.auth)
        .set('Idempotency-Key', freshKey())
        .send({ ...giftRequest, [field]: time });
      expect([answer.status, answer.body.retryable]).toEqual([422, false]);
      expect(answer.body.errors[0].pointer).toBe(`/${field}`);
    }
  });

  test('both together, and as bounds of a list', async () => {
    for (const time of times) {
      const both = await postGift(api, sender, { ...giftRequest, deliver_at: time, expires_at: time });
      expect(both.status).toBe(422);
      const listed = await request(api.app)
        .get('/v1/gifts')
        .query({ created_from: time })
        .set(...sender.auth);
      expect(listed.status).toBe(200);
    }
  });
});

describe('422: however many mistakes a body holds, the answer stays short and says that there are more', () => {
  const many = Array.from({ length: 4_000 }, (_, index) => `k${index}`);
  test.each<[string, string]>([
    [
      'unknown fields',
      JSON.stringify({ ...giftRequest, ...Object.fromEntries(many.map((name) => [name, 1])) }),
    ],
    [
      'values of metadata',
      JSON.stringify({ ...giftRequest, metadata: Object.fromEntries(many.map((name) => [name, 1])) }),
    ],
    ['characters that can not be carried', `{"message":[${many.map(() => '"\\u0000"').join(',')}]}`],
  ])('%s', async (_what, body) => {
    const answer = await postText(body);
    expect(answer.status).toBe(422);
    expect(answer.text.length).toBeLessThan(10_000);
    expect(answer.body.detail).toMatch(/^\d{4} fields are not valid; the first 50 are told$/);
  });
});

test('400: an empty body is called empty', async () => {
  const answer = await postText('');
  expect([answer.status, answer.body.detail]).toEqual([400, 'the body is empty; send JSON']);
});

test('200: a file of /docs is given whole to whoever asks for a part of it, or with a condition', async () => {
  for (const [name, value] of [
    ['Range', 'bytes=99999999-'],
    ['Range', 'bytes=0-0'],
    ['If-Match', '"another"'],
    ['If-Unmodified-Since', 'Thu, 01 Jan 1970 00:00:00 GMT'],
  ] as const) {
    const answer = await request(api.app).get('/docs/swagger-ui.css').set(name, value);
    expect(answer.status).toBe(200);
  }
});
