import { gzipSync } from 'node:zlib';
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

const postBytes = (bytes: Uint8Array | string, type = 'application/json') =>
  request(api.app)
    .post('/v1/gifts')
    .set(...sender.auth)
    .set('Idempotency-Key', freshKey())
    .set('Content-Type', type)
    .serialize((body) => body)
    .send(bytes as never);

const textOf = (change: object) => JSON.stringify({ ...giftRequest, ...change });

describe('422: an input that a check refused is not worked on any further, and reaches no log', () => {
  const wallets: [string, string][] = [
    ['0x123', '40 hexadecimal digits'],
    ['vitalik.eth', 'is a name'],
    ['wallet.vitalik.eth', 'is a name'],
    ['0X52908400098527886E0F7030069857D2E4169EE7', '40 hexadecimal digits'],
    ['0x52908400098527886e0f7030069857d2e4169ee7 ', 'spaces around'],
    ['0x52908400098527886e0f7030069857d2e4169ee7\n', 'spaces around'],
    ['52908400098527886e0f7030069857d2e4169ee7', '40 hexadecimal digits'],
    ['0x52908400098527886e0f7030069857d2e4169eeg', '40 hexadecimal digits'],
    ['0x52908400098527886E0F7030069857D2E4169Ee7', 'wrong EIP-55 checksum'],
    [`0x${'0'.repeat(40)}`, 'zero address'],
    ['', '40 hexadecimal digits'],
    ['ada@example.com', 'is a name'],
    ['x'.repeat(60_000), '40 hexadecimal digits'],
  ];
  test.each(wallets)('wallet %s', async (address, sentence) => {
    const answer = await postGift(api, sender, { ...giftRequest, recipient: { type: 'wallet', address } });
    expect([answer.status, answer.body.retryable]).toEqual([422, false]);
    expect(answer.body.errors).toEqual([
      { pointer: '/recipient/address', detail: expect.stringContaining(sentence) },
    ]);
    if (address !== '') expect(JSON.stringify(api.logged())).not.toContain(address);
  });

  test.each([null, 7, true, [], {}, ['0x1']])('wallet %j', async (address) => {
    const answer = await postGift(api, sender, { ...giftRequest, recipient: { type: 'wallet', address } });
    expect(answer.body.errors).toEqual([
      { pointer: '/recipient/address', detail: expect.stringContaining('must be a string') },
    ]);
  });
});

describe('422: every refusal is a sentence about one field, in no library’s words', () => {
  const wrong: unknown[] = [
    null,
    true,
    -1,
    0,
    1.5,
    1e20,
    '',
    ' ',
    'x',
    'x'.repeat(3_000),
    [],
    [1],
    {},
    { a: { b: 1 } },
  ];
  const fields = [
    ...Object.keys(giftRequest),
    'deliver_at',
    'expires_at',
    'binding',
    'external_id',
    'metadata',
  ];
  const parts = ['value.amount', 'value.currency', 'recipient.type', 'recipient.email', 'recipient.address'];

  test.each([...fields, ...parts])('%s', async (field) => {
    const [name = '', part] = field.split('.');
    for (const value of wrong) {
      const whole = structuredClone<Record<string, unknown>>(giftRequest);
      const changed = part === undefined ? value : { ...(whole[name] as object), [part]: value };
      const answer = await postGift(api, sender, { ...whole, [name]: changed });
      if (answer.status === 202) continue;
      const told: { pointer: string; detail: string }[] = answer.body.errors ?? [];
      if (answer.status === 422) expect(told.length).toBeGreaterThan(0);
      expect(answer.status).not.toBe(500);
      expect(JSON.stringify(answer.body)).not.toMatch(
        /expected|received|invalid (input|type)|too (small|big)|undefined|NaN/i,
      );
      expect(new Set(told.map(({ pointer }) => pointer)).size).toBe(told.length);
    }
  });

  test.each<[unknown, string]>([
    [undefined, 'is required'],
    [1e20, 'must be at most 100000000'],
    [100_000_001, 'must be at most 100000000'],
    [-1e20, 'must be at least 1'],
    [2.5, 'must be a whole number'],
    ['25', 'must be a number, not a string'],
    [null, 'must be a number, not null'],
  ])('an amount of %j', async (amount, detail) => {
    const answer = await postGift(api, sender, { ...giftRequest, value: { amount, currency: 'EUR' } });
    expect(answer.body.errors).toEqual([{ pointer: '/value/amount', detail }]);
    expect(answer.body.detail).toBe(`/value/amount: ${detail}`);
  });

  test.each(['[]', '7', '"x"', 'null', 'true'])('a body of %s', async (body) => {
    const answer = await postBytes(body);
    expect(answer.status).toBe(422);
    expect(answer.body.detail).toMatch(/^the body must be an object, not /);
  });

  test.each([
    'limit=0',
    'limit=ten',
    'limit=',
    'limit=1e2',
    'limit=%205',
    'limit=NaN',
    'limit=-1',
    'limit=1.5',
  ])('a list with %s', async (query) => {
    const answer = await request(api.app)
      .get(`/v1/gifts?${query}`)
      .set(...sender.auth);
    expect(answer.body.errors).toEqual([
      { parameter: 'limit', detail: 'must be a whole number from 1 to 200' },
    ]);
  });
});

describe('422: blanks of every kind are no name and no message', () => {
  const blanks = [
    ' ',
    '\t',
    '\u00a0',
    '\u00ad',
    '\u200b',
    '\u200e',
    '\u2060',
    '\u2800',
    '\u3000',
    '\u3164',
    '\ufeff',
    '\uffa0',
    '\u{e0041}',
    '\u{13441}',
    '\u0336',
  ];
  test.each(blanks.map((blank) => [blank.codePointAt(0)?.toString(16), blank]))(
    'U+%s',
    async (_code, blank) => {
      for (const field of ['sender_name', 'message']) {
        for (const text of [blank, `${blank} ${blank}`]) {
          const answer = await postGift(api, sender, { ...giftRequest, [field]: text });
          expect(answer.body.errors).toEqual([
            { pointer: `/${field}`, detail: 'is blank: it must show something, or be left out' },
          ]);
        }
        expect((await postGift(api, sender, { ...giftRequest, [field]: `${blank}A` })).status).toBe(202);
      }
    },
  );
});

describe('a length is counted in characters, as OpenAPI and the database count', () => {
  test.each<[string, (text: string) => object, number]>([
    ['sender_name', (text) => ({ sender_name: text }), 100],
    ['message', (text) => ({ message: text }), 2_000],
    ['external_id', (text) => ({ external_id: text }), 255],
    ['a value of metadata', (text) => ({ metadata: { a: text } }), 500],
    ['a name in metadata', (text) => ({ metadata: { [text]: 'a' } }), 40],
  ])('%s', async (_where, change, most) => {
    expect((await postGift(api, sender, { ...giftRequest, ...change('🎁'.repeat(most)) })).status).toBe(202);
    const over = await postGift(api, sender, { ...giftRequest, ...change('🎁'.repeat(most + 1)) });
    expect(over.status).toBe(422);
    expect(over.body.errors[0].detail).toContain(`must have at most ${most} characters`);
  });
});

describe('what was sent is kept or refused, never dropped', () => {
  test.each(['{"metadata":{"__proto__":"x"}}', '{"__proto__":{"a":"b"}}', '{"value":{"__proto__":1}}'])(
    '422 for %s',
    async (text) => {
      const [change = ''] = /^\{(.*)\}$/.exec(text)?.slice(1) ?? [];
      const answer = await postBytes(`${textOf({ value: undefined }).slice(0, -1)},${change}}`);
      expect(answer.status).toBe(422);
      expect(JSON.stringify(answer.body.errors)).toContain('__proto__');
    },
  );

  test('202: constructor, toString and the like are names as any other', async () => {
    const metadata = { constructor: 'a', toString: 'b', hasOwnProperty: 'c', prototype: 'd' };
    const answer = await postGift(api, sender, { ...giftRequest, metadata });
    expect([answer.status, answer.body.metadata]).toEqual([202, metadata]);
    const read = await request(api.app)
      .get(`/v1/gifts/${answer.body.id}`)
      .set(...sender.auth);
    expect(read.body.metadata).toEqual(metadata);
  });
});

describe('400: a body that two readers may read in two ways', () => {
  test.each([
    [
      'amount',
      `{"value":{"amount":1,"amount":100,"currency":"EUR"},"recipient":{"type":"email","email":"ada@example.com"}}`,
    ],
    ['value', `${textOf({}).slice(0, -1)},"value":{"amount":1,"currency":"EUR"}}`],
    ['a', `${textOf({}).slice(0, -1)},"metadata":{"a":"1","\\u0061":"2"}}`],
    ['b', `${textOf({}).slice(0, -1)},"metadata":{"a":"\\":{","b" :"{}","list":[{"b":1},{"b":2}],"b":"2"}}`],
    ['\u001b"', `{"\\u001b\\"":1,"\\u001B\\"":2}`],
    ['k'.repeat(100), `{"${'k'.repeat(500)}":1,"${'k'.repeat(500)}":2}`],
  ])('a key that stands twice is named: %j', async (key, text) => {
    const answer = await postBytes(text);
    expect([answer.status, answer.body.code]).toEqual([400, 'malformed_body']);
    const shown = JSON.stringify(key);
    expect(answer.body.detail).toBe(`the body has the key ${shown} twice in one object; send each once`);
  });

  test('202: colons, quotes and backslashes in texts are no keys', async () => {
    const metadata = { 'a:b': '"c":"d"', 'e\\': '\\":', f: '\\' };
    expect((await postGift(api, sender, { ...giftRequest, metadata })).body.metadata).toEqual(metadata);
  });

  test.each<[string, number[]]>([
    ['a byte that begins nothing', [0xff]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['half of a character', [0xe2, 0x82]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['beyond Unicode', [0xf4, 0x90, 0x80, 0x80]],
  ])('bytes that are no UTF-8: %s', async (_what, bytes) => {
    const [before = '', after = ''] = textOf({ message: 'a§b' }).split('§');
    const whole = Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)]);
    const answer = await postBytes(whole);
    expect([answer.status, answer.body.code]).toEqual([400, 'malformed_body']);
    const zipped = await postBytes(gzipSync(whole)).set('Content-Encoding', 'gzip');
    expect(zipped.status).toBe(400);
  });

  test('202 with a byte order mark, 415 in another encoding', async () => {
    expect((await postBytes(`\ufeff${textOf({})}`)).status).toBe(202);
    for (const charset of ['utf-16', 'utf-16le', 'iso-8859-1', 'utf-32', 'x']) {
      const answer = await postBytes(textOf({}), `application/json; charset=${charset}`);
      expect([answer.status, answer.body.code]).toEqual([415, 'unsupported_media_type']);
    }
    expect((await postBytes(textOf({}), 'application/json; charset="UTF-8"')).status).toBe(202);
  });

  test.each(['token=a&token=b', 'token=%ff', 'token=%e2%82', 'token=%'])('a form with %s', async (form) => {
    const answer = await request(api.app)
      .post('/v1/claims')
      .set('Idempotency-Key', freshKey())
      .set('Content-Type', 'application/x-www-form-urlencoded')
      .send(form);
    expect([answer.status, answer.body.code]).toEqual([400, 'malformed_body']);
  });

  test.each([
    'external_id=%ff',
    'external_id=%e2%82',
    'external_id=a&external_id=b',
    'limit=1&limit=2',
    '__proto__=1',
  ])('422 for a query with %s', async (query) => {
    const answer = await request(api.app)
      .get(`/v1/gifts?${query}`)
      .set(...sender.auth);
    expect([answer.status, answer.body.code]).toEqual([422, 'validation_failed']);
  });
});

describe('an id that nobody made is one that does not exist', () => {
  const suffixes = [
    '6'.padEnd(26, '0'),
    '0'.repeat(26),
    `7${'z'.repeat(25)}`,
    '3p9s9h2z4hvvhhvvarzdsm1h9d',
    '1bh7z0xpm8p8tgw7pn15bxq8hq',
  ];
  test.each(suffixes)('%s', async (suffix) => {
    const as = await api.sender({ roles: ['sender', 'operator', 'admin'] });
    const ask = async (method: 'get' | 'post', path: string, body?: object) => {
      const sent = request(api.app)
        [method](path)
        .set(...as.auth)
        .set('Idempotency-Key', freshKey());
      return (await (body === undefined ? sent : sent.send(body))).status;
    };
    for (const path of ['', '/timeline'])
      expect(await ask('get', `/v1/gifts/gft_${suffix}${path}`)).toBe(404);
    for (const path of ['/cancel', '/resend'])
      expect(await ask('post', `/v1/gifts/gft_${suffix}${path}`)).toBe(404);
    const lists = { gifts: 'gft', 'funding-accounts': 'fac', 'dead-letters': 'ddl' };
    for (const [list, prefix] of Object.entries(lists)) {
      expect(await ask('get', `/v1/${list}?after=${prefix}_${suffix}`)).toBe(200);
      expect(await ask('get', `/v1/${list}?before=${prefix}_${suffix}`)).toBe(200);
    }
    const token = `clt_${suffix}${'0'.repeat(26)}`;
    expect(await ask('get', `/claim/${token}`)).toBe(404);
    expect(await ask('post', '/v1/claims', { token })).toBe(404);
    const topup = { sender_id: `sen_${suffix}`, value: { amount: 1, currency: 'EUR' } };
    expect(await ask('post', '/v1/topups', topup)).toBe(422);
  });
});
