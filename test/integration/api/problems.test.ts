import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import request from 'supertest';
import { buildApp } from '../../../services/api/app.ts';
import { createDatabase } from '../../../services/database/client.ts';
import { freshKey, giftRequest, startTestApi, type TestApi, type TestSender } from '../../support/api.ts';

let api: TestApi;
let sender: TestSender;
beforeAll(async () => {
  api = await startTestApi();
  sender = await api.sender();
});
afterAll(() => api.close());

const post = (type = 'application/json') =>
  request(api.app)
    .post('/v1/gifts')
    .set(...sender.auth)
    .set('Idempotency-Key', freshKey())
    .set('Content-Type', type);

describe('every refusal is a problem', () => {
  test('RFC 9457: media type, members, and the request id of the header', async () => {
    const answer = await request(api.app).get('/v1/nothing').set('X-Request-Id', 'abc-1');
    expect(answer.status).toBe(404);
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(answer.headers['x-request-id']).toBe('abc-1');
    expect(answer.body).toEqual({
      type: 'urn:largesse:problem:not_found',
      title: 'Not found',
      status: 404,
      detail: expect.any(String),
      code: 'not_found',
      request_id: 'abc-1',
      retryable: false,
    });
  });

  test.each(['has space', 'a'.repeat(129), 'ada@example.com', '"quoted"', ''])(
    'a request id of %j is replaced by ours',
    async (given) => {
      const answer = await request(api.app).get('/v1/nothing').set('X-Request-Id', given);
      expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
      expect(answer.body.request_id).toBe(answer.headers['x-request-id']);
    },
  );

  test.each(['/claim/%zz', '/v1/gifts/%ff', '/v1/gifts/%e0%a4%a/timeline'])(
    '404 for a path that does not decode: %s',
    async (path) => {
      const answer = await request(api.app)
        .get(path)
        .set(...sender.auth);
      expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    },
  );

  test('400 for a body that is said to be gzip and is not', async () => {
    const answer = await post().set('Content-Encoding', 'gzip').send('not gzip at all');
    expect([answer.status, answer.body.code]).toEqual([400, 'malformed_body']);
  });

  test.each<[string, string]>([
    ['{"value":', 'half of a body'],
    ['', 'nothing at all'],
    ['{"a":1}}', 'too much of a body'],
  ])('400 malformed_body or 422 for %s', async (text) => {
    const answer = await post().send(text);
    expect([400, 422]).toContain(answer.status);
    expect(answer.body.detail).not.toContain('JSON at position');
  });

  test('400 malformed_body does not quote the body', async () => {
    const answer = await post().send('{"recipient": ada@example.com}');
    expect([answer.status, answer.body.code]).toEqual([400, 'malformed_body']);
    expect(JSON.stringify(answer.body)).not.toContain('ada@');
  });

  test('413 payload_too_large above 64 KiB, also when it only swells to that', async () => {
    const large = JSON.stringify({ ...giftRequest, message: 'x'.repeat(70_000) });
    const plain = await post().send(large);
    expect([plain.status, plain.body.code]).toEqual([413, 'payload_too_large']);
    const zipped = await post()
      .set('Content-Encoding', 'gzip')
      .serialize((body) => body)
      .send(gzipSync(large) as never);
    expect([zipped.status, zipped.body.code]).toEqual([413, 'payload_too_large']);
  });

  test('415 unsupported_media_type names what is taken', async () => {
    for (const type of ['text/plain', 'application/xml', 'application/x-www-form-urlencoded']) {
      const answer = await post(type).send('a=b');
      expect([answer.status, answer.body.code]).toEqual([415, 'unsupported_media_type']);
      expect(answer.headers['accept']).toBe('application/json');
    }
  });

  test.each<[string, string, string]>([
    ['delete', '/v1/gifts', 'GET, POST'],
    ['put', '/v1/gifts/gft_1', 'GET'],
    ['get', '/v1/gifts/gft_1/cancel', 'POST'],
    ['get', '/v1/claims', 'POST'],
    ['post', '/claim/x', 'GET'],
    ['post', '/healthz', 'GET'],
    ['delete', '/v1/topups', 'POST'],
  ])('405 %s %s allows %s', async (method, path, allowed) => {
    const answer = await request(api.app)[method as 'get'](path);
    expect([answer.status, answer.body.code, answer.headers['allow']]).toEqual([
      405,
      'method_not_allowed',
      allowed,
    ]);
  });

  test('a body of 30,000 nested arrays is refused like any other', async () => {
    const answer = await post().send(`{"metadata":${'['.repeat(30_000)}${']'.repeat(30_000)}}`);
    expect(answer.status).toBe(422);
  });
});

describe('what is our fault', () => {
  test('500 tells nothing but the request id; the log tells all, once', async () => {
    const broken = buildApp({
      ...api.deps,
      queues: () => Promise.reject(new Error('secret detail of the inside')),
    });
    const operator = await api.sender({ roles: ['operator'] });
    const answer = await request(broken)
      .get('/v1/queues')
      .set(...operator.auth);
    expect(answer.status).toBe(500);
    expect(answer.body).toEqual({
      type: 'urn:largesse:problem:internal_error',
      title: 'Internal error',
      status: 500,
      detail: 'an unexpected error; quote the request_id when you report it',
      code: 'internal_error',
      request_id: answer.headers['x-request-id'],
      retryable: true,
    });
    const causes = api.logged().filter((line) => JSON.stringify(line).includes('secret detail'));
    expect(causes).toEqual([
      expect.objectContaining({
        level: 'error',
        event: 'request_failed',
        request_id: answer.body.request_id,
      }),
    ]);
  });

  test('P59: the log shows the body of a failed request by the schema of its route: the value, and nobody', async () => {
    const broken = () => Promise.reject(new Error('broken'));
    const app = buildApp({
      ...api.deps,
      db: {
        ...api.deps.db,
        connection: () => ({ execute: broken }),
        transaction: () => ({ execute: broken }),
      } as never,
    });
    const recipients = [
      { type: 'email', email: 'grace@example.org' },
      { type: 'wallet', address: '0x52908400098527886E0F7030069857D2E4169EE7' },
    ];
    for (const recipient of recipients) {
      const answer = await request(app)
        .post('/v1/gifts')
        .set(...sender.auth)
        .set('Idempotency-Key', freshKey())
        .send({ ...giftRequest, recipient, sender_name: 'Bletchley', metadata: { 'Joan Clarke': 'Hut 8' } });
      expect(answer.status).toBe(500);
    }
    const token = `clt_7${'z'.repeat(51)}`;
    expect((await request(app).post('/v1/claims').set('Idempotency-Key', 'k').send({ token })).status).toBe(
      500,
    );

    const bodies = api.logged().flatMap((line) => line['request_body'] ?? []);
    const gift = {
      value: { amount: 2_500, currency: 'EUR' },
      message: '[text]',
      sender_name: '[name]',
      metadata: '[personal]',
    };
    expect(bodies).toEqual([
      { ...gift, recipient: { type: 'email', email: '[redacted]' } },
      { ...gift, recipient: { type: 'wallet', address: '[wallet]' } },
      { token: '[redacted]' },
    ]);
    expect(JSON.stringify(api.logged())).not.toMatch(/grace|0x5290|Bletchley|Well done|Joan|Hut 8|clt_/i);
  });

  test('503 unavailable, retryable, with Retry-After, while the database is away', async () => {
    const away = createDatabase({
      connectionString: 'postgres://x:x@127.0.0.1:1/none',
      poolMax: 1,
      applicationName: 'largesse-test-away',
    });
    const app = buildApp({ ...api.deps, db: away.db, reads: away.reads });
    const answer = await request(app)
      .get('/v1/gifts')
      .set(...sender.auth);
    expect([answer.status, answer.body.code, answer.body.retryable]).toEqual([503, 'unavailable', true]);
    expect(answer.headers['retry-after']).toMatch(/^\d+$/);
    expect(JSON.stringify(answer.body)).not.toContain('127.0.0.1');
    await away.db.destroy();
  });
});

describe('GET /healthz and /readyz', () => {
  test('200, and 503 naming the check that fails, or once the process is stopping', async () => {
    expect((await request(api.app).get('/healthz')).body).toEqual({ status: 'ok' });
    expect((await request(api.app).get('/readyz')).body).toEqual({ status: 'ok', checks: {} });
    const failing = buildApp({
      ...api.deps,
      readiness: { database: () => Promise.reject(new Error('inside')) },
    });
    const answer = await request(failing).get('/readyz');
    expect([answer.status, answer.body]).toEqual([
      503,
      { status: 'unavailable', checks: { database: false } },
    ]);
    const stopping = buildApp({ ...api.deps, stopping: AbortSignal.abort() });
    const last = await request(stopping).get('/readyz');
    expect([last.status, last.headers['connection']]).toEqual([503, 'close']);
    expect((await request(stopping).get('/healthz')).status).toBe(200);
  });
});
