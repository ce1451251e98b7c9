import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import request from 'supertest';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import {
  freshKey,
  giftRequest,
  postGift,
  startTestApi,
  stateOf,
  type TestApi,
  type TestSender,
} from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';

let api: TestApi;
let sender: TestSender;
beforeAll(async () => {
  api = await startTestApi();
  sender = await api.sender();
});
afterAll(() => api.close());

const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();

/** The pointers of a 422, in order. */
const pointers = (body: { errors?: { pointer?: string }[] }) => body.errors?.map((error) => error.pointer);

async function countOf(table: 'gifts' | 'outbox' | 'recipients' | 'idempotency_keys'): Promise<number> {
  const { count } = await api.database.db
    .selectFrom(table)
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return count;
}

describe('POST /v1/gifts 202', () => {
  test('answers, stores gift and money, hands the message to the relay, and tells of it', async () => {
    const before = api.published.length;
    const answer = await postGift(api, sender).set('X-Request-Id', 'order-4711');

    // 1. the response
    expect(answer.status).toBe(202);
    expect(answer.headers['location']).toBe(`/v1/gifts/${answer.body.id}`);
    expect(answer.headers['x-request-id']).toBe('order-4711');
    expect(answer.body).toMatchObject({
      object: 'gift',
      state: 'queued',
      value: { amount: 2_500, currency: 'EUR' },
      recipient: { type: 'email', masked: 'a•••@e•••.com' },
      binding: 'bearer',
      failure: null,
    });
    // 2. the new state
    expect(await stateOf(api, answer.body.id)).toBe('queued');
    const transfers = await api.database.db
      .selectFrom('ledger_transfers')
      .select('kind')
      .where('gift_id', '=', toUuid(answer.body.id as GiftId))
      .execute();
    expect(transfers).toEqual([{ kind: 'reserve' }]);
    // 3. and 4. no call but the message that goes to the relay, in the envelope of the queue
    const [row, ...more] = api.published.slice(before);
    expect(more).toEqual([]);
    expect(row).toMatchObject({ queue: 'gifts', groupId: sender.senderId });
    expect(JSON.parse(row?.body ?? '')).toMatchObject({
      type: 'gift.deliver',
      version: 1,
      id: answer.body.id,
      request_id: 'order-4711',
    });
    // 5. the telemetry
    const line = await eventually(() => {
      const found = api.logged().find((logged) => logged['request_id'] === 'order-4711');
      expect(found).toBeDefined();
      return found;
    });
    expect(line).toMatchObject({
      event: 'http_request',
      method: 'POST',
      route: '/v1/gifts',
      status: 202,
      gift_id: answer.body.id,
      sender_id: sender.senderId,
    });
    const { body: metrics } = await api.deps.metrics.render();
    expect(metrics).toMatch(/largesse_gifts_accepted_total\{recipient_type="email"\} 1/);
    expect(metrics).toMatch(/largesse_gifts_accepted_value_minor_total\{currency="EUR"\} 2500/);
    expect(metrics).toMatch(
      /largesse_http_request_seconds_count\{method="POST",route="\/v1\/gifts",status="202"\} 1/,
    );
  });

  test('a gift for later is scheduled, and no message is written yet', async () => {
    const before = api.published.length;
    const answer = await postGift(api, sender, {
      ...giftRequest,
      deliver_at: inDays(2),
      expires_at: inDays(9),
    });
    expect(answer.status).toBe(202);
    expect(answer.body.state).toBe('scheduled');
    expect(api.published.length).toBe(before);
  });

  test('a wallet in lower case is taken in its EIP-55 form and shown masked, as CAIP-10', async () => {
    const recipient = {
      type: 'wallet',
      address: '0x52908400098527886e0f7030069857d2e4169ee7',
      chain_id: 137,
    };
    const answer = await postGift(api, sender, { ...giftRequest, recipient });
    expect(answer.status).toBe(202);
    expect(answer.body.recipient).toEqual({ type: 'wallet', masked: 'eip155:137:0x52…9EE7' });
    expect(answer.body.claim_url).toBeUndefined();
  });

  test('nothing personal is echoed, stored in the clear, or logged', async () => {
    await postGift(api, sender, {
      ...giftRequest,
      recipient: { type: 'email', email: 'grace.hopper@navy.example' },
      message: 'sealed-message-text',
      sender_name: 'Sealed Sender-Name',
    });
    const secret = /grace\.hopper|navy\.example|sealed-message|Sealed Sender/i;
    for (const table of ['gifts', 'recipients', 'outbox', 'idempotency_keys', 'audit_records'] as const) {
      const rows = await api.database.db.selectFrom(table).selectAll().execute();
      expect(JSON.stringify(rows)).not.toMatch(secret);
    }
    expect(JSON.stringify(api.logged())).not.toMatch(secret);
  });
});

describe('POST /v1/gifts?dry_run=true 200', () => {
  const dryRun = (body: object) =>
    request(api.app)
      .post('/v1/gifts?dry_run=true')
      .set(...sender.auth)
      .send(body);

  test('needs no key, and refuses one that the request itself would refuse', async () => {
    const answer = await dryRun(giftRequest).set('idempotency-key', 'k'.repeat(256));
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toEqual([
      { header: 'Idempotency-Key', detail: 'has more than 255 characters' },
    ]);
  });

  test('says what would happen and lets nothing happen', async () => {
    const [gifts, outbox, published] = [
      await countOf('gifts'),
      await countOf('outbox'),
      api.published.length,
    ];
    const answer = await dryRun(giftRequest);
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ object: 'gift_dry_run', gift: { state: 'queued' } });
    const { available_before: before, available_after: after } = answer.body.funding_account;
    expect(before - after).toBe(2_500);
    expect(answer.body.gift.id).toBeUndefined();
    expect([await countOf('gifts'), await countOf('outbox'), api.published.length]).toEqual([
      gifts,
      outbox,
      published,
    ]);
  });

  test('refuses what an accept would refuse', async () => {
    const answer = await dryRun({ ...giftRequest, value: { amount: 90_000_000, currency: 'EUR' } });
    expect(answer.status).toBe(402);
    expect(answer.body.code).toBe('funding_insufficient');
  });
});

describe('POST /v1/gifts 402, 409, 422: what the sender can mend', () => {
  test('402 funding_insufficient: nothing is stored, and the key may be used again after a top-up', async () => {
    const poor = await api.sender({ amountMinor: 1_000 });
    const key = freshKey();
    const answer = await postGift(api, poor, giftRequest, key);
    expect(answer.status).toBe(402);
    expect(answer.body).toMatchObject({
      code: 'funding_insufficient',
      retryable: true,
      errors: [{ pointer: '/value/amount' }],
    });
    const smaller = { ...giftRequest, value: { amount: 900, currency: 'EUR' } };
    expect((await postGift(api, poor, smaller, key)).status).toBe(202);
  });

  test('422 funding_account_missing names the currency', async () => {
    const answer = await postGift(api, sender, { ...giftRequest, value: { amount: 1, currency: 'USD' } });
    expect(answer.status).toBe(422);
    expect(answer.body).toMatchObject({
      code: 'funding_account_missing',
      errors: [{ pointer: '/value/currency' }],
    });
  });

  test('409 external_id_taken: unique per sender, for ever', async () => {
    const body = { ...giftRequest, external_id: 'bonus-2026-ada' };
    const first = await postGift(api, sender, body);
    expect(first.status).toBe(202);
    const again = await postGift(api, sender, body);
    expect(again.status).toBe(409);
    expect(again.body).toMatchObject({
      code: 'external_id_taken',
      gift_id: first.body.id,
      errors: [{ pointer: '/external_id' }],
    });
    expect((await postGift(api, await api.sender(), body)).status).toBe(202);
  });

  test.each<[string, object, string[]]>([
    ['an amount of zero', { value: { amount: 0, currency: 'EUR' } }, ['/value/amount']],
    ['a fraction of a cent', { value: { amount: 1.5, currency: 'EUR' } }, ['/value/amount']],
    ['an amount as text', { value: { amount: '25', currency: 'EUR' } }, ['/value/amount']],
    ['an amount beyond the limit', { value: { amount: 100_000_001, currency: 'EUR' } }, ['/value/amount']],
    ['a currency that is none', { value: { amount: 1, currency: 'EUX' } }, ['/value/currency']],
    ['no e-mail address', { recipient: { type: 'email', email: 'ada at example' } }, ['/recipient/email']],
    [
      'an address with a header in it',
      { recipient: { type: 'email', email: 'a@example.com\r\nBcc: b@example.com' } },
      ['/recipient/email'],
    ],
    [
      'an address that is too long',
      { recipient: { type: 'email', email: `${'a'.repeat(64)}@${'b'.repeat(200)}.com` } },
      ['/recipient/email'],
    ],
    [
      'a local part that is too long',
      { recipient: { type: 'email', email: `${'a'.repeat(65)}@example.com` } },
      ['/recipient/email'],
    ],
    [
      'a wallet whose checksum is wrong',
      { recipient: { type: 'wallet', address: '0x52908400098527886E0F7030069857D2E4169Ee7' } },
      ['/recipient/address'],
    ],
    ['a type that is neither', { recipient: { type: 'pigeon' } }, ['/recipient/type']],
    [
      'a field of the other type',
      { recipient: { ...giftRequest.recipient, chain_id: 1 } },
      ['/recipient/chain_id'],
    ],
    ['unknown fields, all named', { a: 1, 'b/c~d': 2 }, ['/a', '/b~1c~0d']],
    ['a binding that is not offered', { binding: 'email_otp' }, ['/binding']],
    ['two lines in sender_name', { sender_name: 'a\nb' }, ['/sender_name']],
    ['a delivery in the past', { deliver_at: '2020-01-01T00:00:00Z' }, ['/deliver_at']],
    ['a delivery in three years', { deliver_at: inDays(1_100) }, ['/deliver_at']],
    ['an end before the delivery', { deliver_at: inDays(3), expires_at: inDays(2) }, ['/expires_at']],
    ['an end in a minute', { expires_at: new Date(Date.now() + 60_000).toISOString() }, ['/expires_at']],
    ['a time that is none', { deliver_at: 'tomorrow' }, ['/deliver_at']],
    ['metadata that is nested', { metadata: { a: { b: 'c' } } }, ['/metadata/a']],
    [
      'too much metadata',
      { metadata: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`k${i}`, 'v'])) },
      ['/metadata'],
    ],
  ])('422 %s', async (_what, change, expected) => {
    const answer = await postGift(api, sender, { ...giftRequest, ...change });
    expect(answer.status).toBe(422);
    expect(answer.body.code).toBe('validation_failed');
    expect(pointers(answer.body)).toEqual(expected);
  });

  test('an unoffered binding is answered with what is offered', async () => {
    const answer = await postGift(api, sender, { ...giftRequest, binding: 'wallet_signature' });
    expect(answer.body.errors).toEqual([
      { pointer: '/binding', detail: 'only "bearer" is offered in this version' },
    ]);
  });

  test('what was sent is not quoted back, not even as the name of a field', async () => {
    const answer = await postGift(api, sender, { ...giftRequest, 'ada@example.com': 1, message: 7 });
    expect(answer.status).toBe(422);
    expect(JSON.stringify(answer.body)).not.toContain('ada@example.com');
  });
});

describe('P24: characters that SQS rejects are refused with 422, not at the relay', () => {
  const hostile = {
    nul: '\u0000',
    'lone surrogate': '\ud800',
    'U+FFFE': '\ufffe',
    'U+FFFF': '\uffff',
    escape: '\u001b',
  };
  const places: [string, (text: string) => object, string][] = [
    ['message', (text) => ({ message: text }), '/message'],
    ['sender_name', (text) => ({ sender_name: text }), '/sender_name'],
    ['external_id', (text) => ({ external_id: text }), '/external_id'],
    ['a value of metadata', (text) => ({ metadata: { note: text } }), '/metadata/note'],
    [
      'the address',
      (text) => ({ recipient: { type: 'email', email: `a${text}@example.com` } }),
      '/recipient/email',
    ],
  ];
  const cases = Object.entries(hostile).flatMap(([name, text]) =>
    places.map(([place, change, pointer]) => [name, place, change(`x${text}y`), pointer] as const),
  );

  test.each(cases)('P24: %s in %s', async (_name, _place, change, pointer) => {
    const answer = await postGift(api, sender, { ...giftRequest, ...change });
    expect(answer.status).toBe(422);
    expect(pointers(answer.body)).toEqual([pointer]);
  });

  test.each(Object.entries(hostile))('P24: %s in a key of metadata', async (_name, text) => {
    const answer = await postGift(api, sender, { ...giftRequest, metadata: { [`k${text}`]: 'v' } });
    expect(answer.status).toBe(422);
    expect(pointers(answer.body)).toEqual([`/metadata/k${text}`]);
  });

  test('P24: in a query they are refused too, before the database sees them', async () => {
    const answer = await request(api.app)
      .get('/v1/gifts?external_id=a%00b')
      .set(...sender.auth);
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toEqual([expect.objectContaining({ parameter: 'external_id' })]);
  });

  test('P24: tabs, line ends, emoji and every script there is pass unharmed', async () => {
    const message = 'Grüße\t\r\n🎁 \u{10FFFD} 礼物 \u0085\u00a0';
    expect((await postGift(api, sender, { ...giftRequest, message })).status).toBe(202);
  });
});
