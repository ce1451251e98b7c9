import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Transaction } from 'kysely';
import request from 'supertest';
import type { Database } from '../../../services/database/schema.ts';
import { claimDeliveries } from '../../../services/domain/deliveries/claim-deliveries.ts';
import { claimGifts } from '../../../services/domain/deliveries/claim-gifts.ts';
import type { ClaimResult } from '../../../services/domain/deliveries/delivery-work.ts';
import { type Settlement, settleDeliveries } from '../../../services/domain/deliveries/settle-deliveries.ts';
import { type DeliveryId, type GiftId, newId, toUuid } from '../../../services/domain/ids.ts';
import {
  deliver,
  freshKey,
  giftRequest,
  postGift,
  startTestApi,
  type TestApi,
  type TestSender,
} from '../../support/api.ts';
import { cancel, fund, keyring } from '../../support/gifts.ts';

let api: TestApi;
let sender: TestSender;
beforeAll(async () => {
  api = await startTestApi();
  sender = await api.sender();
});
afterAll(() => api.close());

const get = (path: string, as = sender) =>
  request(api.app)
    .get(path)
    .set(...as.auth);

/** The path behind a rel of a Link header. */
function follow(link: string | undefined, rel: string): string {
  const found = new RegExp(`<([^>]+)>; rel="${rel}"`).exec(link ?? '')?.[1];
  if (found === undefined) throw new Error(`no ${rel} in ${link}`);
  return found;
}

describe('GET /v1/gifts 200', () => {
  test('pages through all gifts, newest first, each once, while others arrive', async () => {
    const own = await api.sender();
    const made: string[] = [];
    for (let i = 0; i < 7; i += 1) made.unshift((await postGift(api, own)).body.id);
    const seen: string[] = [];
    let path = '/v1/gifts?limit=3';
    for (;;) {
      const answer = await get(path, own);
      expect(answer.status).toBe(200);
      seen.push(...answer.body.data.map((gift: { id: string }) => gift.id));
      await postGift(api, own);
      if (!answer.body.has_more) break;
      path = follow(answer.headers['link'], 'next');
    }
    expect(seen).toEqual(made);
  });

  test('goes back by `before`, in the same order', async () => {
    const own = await api.sender();
    const made: string[] = [];
    for (let i = 0; i < 5; i += 1) made.unshift((await postGift(api, own)).body.id);
    const last = await get(`/v1/gifts?limit=2&after=${made[2]}`, own);
    expect(last.body.data.map((gift: { id: string }) => gift.id)).toEqual(made.slice(3));
    const back = await get(follow(last.headers['link'], 'prev'), own);
    expect(back.body.data.map((gift: { id: string }) => gift.id)).toEqual(made.slice(1, 3));
    expect(back.body.has_more).toBe(true);
    const first = await get(follow(back.headers['link'], 'prev'), own);
    expect(first.body.data.map((gift: { id: string }) => gift.id)).toEqual(made.slice(0, 1));
    expect(first.headers['link']).not.toContain('rel="prev"');
  });

  test('shows own gifts only, and finds one by its external_id', async () => {
    const other = await api.sender();
    const { body: gift } = await postGift(api, sender, { ...giftRequest, external_id: 'find-me' });
    expect((await get('/v1/gifts', other)).body).toEqual({ data: [], has_more: false });
    const found = await get('/v1/gifts?external_id=find-me');
    expect(found.body.data.map(({ id }: { id: string }) => id)).toEqual([gift.id]);
    expect((await get('/v1/gifts?external_id=find-me', other)).body.data).toEqual([]);
  });

  describe('narrowed', () => {
    let own: TestSender;
    const made: Record<string, string> = {};
    beforeAll(async () => {
      own = await api.sender();
      await fund(api.database.db, own.senderId, { amount: 100_000, currency: 'USD' });
      const value = { amount: 100, currency: 'USD' };
      made['queued'] = (await postGift(api, own)).body.id;
      made['delivered'] = (await postGift(api, own)).body.id;
      made['dollars'] = (await postGift(api, own, { ...giftRequest, value })).body.id;
      await deliver(api, made['delivered'] ?? '');
      await postGift(api, await api.sender());
    });

    const found = async (query: string) => {
      const answer = await get(`/v1/gifts?${query}`, own);
      expect(answer.status).toBe(200);
      const ids = answer.body.data.map(({ id }: { id: string }) => id);
      return Object.keys(made)
        .filter((name) => ids.includes(made[name]))
        .toSorted();
    };
    const at = (ms: number) => encodeURIComponent(new Date(Date.now() + ms).toISOString());

    test('by state, currency, time of acceptance, and all of them together', async () => {
      expect(await found('state=delivered')).toEqual(['delivered']);
      expect(await found('state=queued')).toEqual(['dollars', 'queued']);
      expect(await found('state=failed')).toEqual([]);
      expect(await found('currency=USD')).toEqual(['dollars']);
      expect(await found('currency=BGN')).toEqual([]);
      expect(await found(`created_from=${at(-60_000)}`)).toEqual(['delivered', 'dollars', 'queued']);
      expect(await found(`created_from=${at(60_000)}`)).toEqual([]);
      expect(await found(`created_to=${at(-60_000)}`)).toEqual([]);
      expect(await found(`created_from=0000-01-01T00:00:00Z&created_to=9999-12-31T23:59:59Z`)).toHaveLength(
        3,
      );
      expect(await found(`state=queued&currency=EUR&created_to=${at(60_000)}`)).toEqual(['queued']);
    });

    test('a time divides: from it on, and before it, each gift is in one of the two', async () => {
      const { body: gift } = await get(`/v1/gifts/${made['delivered']}`, own);
      const [before, after] = [
        await found(`created_to=${gift.created_at}`),
        await found(`created_from=${gift.created_at}`),
      ];
      expect(after).toContain('delivered');
      expect([...before, ...after].toSorted()).toEqual(['delivered', 'dollars', 'queued']);
    });

    test('pages keep what they are narrowed to', async () => {
      const first = await get('/v1/gifts?state=queued&limit=1', own);
      expect(first.body.has_more).toBe(true);
      const next = await get(follow(first.headers['link'], 'next'), own);
      expect([...first.body.data, ...next.body.data].map(({ id }: { id: string }) => id)).toEqual([
        made['dollars'],
        made['queued'],
      ]);
      expect(next.body.has_more).toBe(false);
    });

    test.each<[string, string, string]>([
      ['state=lost', 'state', 'must be "scheduled" or "queued" or'],
      ['state=held', 'state', 'must be "scheduled" or "queued" or'],
      ['state=', 'state', 'must be "scheduled" or "queued" or'],
      ['currency=eur', 'currency', 'three capital letters'],
      ['created_from=yesterday', 'created_from', 'RFC 3339'],
      ['created_from=2027-01-31', 'created_from', 'RFC 3339'],
      ['created_to=2027-01-31T09:00:00+02:00', 'created_to', 'a + in it is written %2B'],
      [
        'created_from=2027-01-02T00:00:00Z&created_to=2027-01-01T00:00:00Z',
        'created_to',
        'later than created_from',
      ],
    ])('422 for ?%s', async (query, parameter, detail) => {
      const answer = await get(`/v1/gifts?${query}`, own);
      expect([answer.status, answer.body.errors]).toEqual([
        422,
        [{ parameter, detail: expect.stringContaining(detail) }],
      ]);
    });
  });

  test.each(['limit=0', 'limit=201', 'limit=ten', 'after=nonsense', `after=${newId('sen')}`, 'sort=up'])(
    '422 for ?%s',
    async (query) => {
      const answer = await get(`/v1/gifts?${query}`);
      expect(answer.status).toBe(422);
      expect(answer.body.errors[0].parameter).toBe(query.split('=')[0]);
    },
  );
});

describe('GET /v1/gifts/{id}', () => {
  test('200 the gift as it is now; a mailed claim link is never shown', async () => {
    const { body: gift } = await postGift(api, sender);
    await deliver(api, gift.id);
    const answer = await get(`/v1/gifts/${gift.id}`);
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ id: gift.id, state: 'delivered' });
    expect(answer.body.claim_url).toBeUndefined();
  });

  test('200 a wallet gift shows its claim link once it is delivered', async () => {
    const recipient = { type: 'wallet', address: '0x52908400098527886E0F7030069857D2E4169EE7' };
    const { body: gift } = await postGift(api, sender, { ...giftRequest, recipient });
    expect((await get(`/v1/gifts/${gift.id}`)).body.claim_url).toBeUndefined();
    await deliver(api, gift.id);
    expect((await get(`/v1/gifts/${gift.id}`)).body.claim_url).toMatch(
      /^https:\/\/gifts\.example\.com\/claim\/clt_[0-9a-z]{52}$/,
    );
  });

  test('404 alike for a gift that does not exist and one that is somebody else’s', async () => {
    const { body: foreign } = await postGift(api, await api.sender());
    const answers = [await get(`/v1/gifts/${foreign.id}`), await get(`/v1/gifts/${newId('gft')}`)];
    const told = answers.map(({ status, body: { request_id: _id, ...body } }) => ({ status, body }));
    expect(told[0]).toEqual(told[1]);
    expect(told[0]).toMatchObject({ status: 404, body: { code: 'not_found' } });
  });

  test('422 for what is no id', async () => {
    const answer = await get('/v1/gifts/42');
    expect([answer.status, answer.body.errors[0].parameter]).toEqual([422, 'id']);
  });
});

describe('GET /v1/gifts/{id}/timeline', () => {
  test('200 every state change and attempt, in order, without personal data', async () => {
    const { body: gift } = await postGift(api, sender).set('X-Request-Id', 'the-accept');
    await deliver(api, gift.id);
    const answer = await get(`/v1/gifts/${gift.id}/timeline`);
    expect(answer.status).toBe(200);
    const told = answer.body.data.map((entry: { object: string; action?: string; outcome?: string }) =>
      [entry.object, entry.action ?? entry.outcome].join(' '),
    );
    expect(told[0]).toBe('audit_record gift.accepted');
    expect(told).toContain('delivery_attempt sent');
    expect(told).toContain('audit_record gift.delivered');
    expect(answer.body.data[0]).toMatchObject({ request_id: 'the-accept', actor: { kind: 'api_key' } });
    const times = answer.body.data.map(({ at }: { at: string }) => at);
    expect(times).toEqual(times.toSorted());
    expect(JSON.stringify(answer.body)).not.toMatch(/ada@example|Well done/);
  });

  const transaction = <T>(work: (trx: Transaction<Database>) => Promise<T>) =>
    api.database.db.transaction().execute(work);
  const worker = { keyring, leaseSeconds: 60 };
  const letter = { messageId: 'm-1', receiveCount: 1 };
  const claimGift = (giftId: GiftId) =>
    transaction((trx) => claimGifts(trx, worker, [{ giftId, ...letter }]));
  const claimSend = (deliveryId: DeliveryId) =>
    transaction((trx) => claimDeliveries(trx, worker, [{ deliveryId, ...letter }]));

  /** What a worker does whose mail does not get through. */
  async function fails([claim]: ClaimResult[], outcome: 'retry' | 'dead_letter'): Promise<void> {
    if (claim?.kind !== 'claimed') throw new Error(`not claimed: ${claim?.kind}`);
    const { deliveryId, attempt } = claim.work;
    const failure = { class: 'transient', code: 'mail_unreachable', reason: 'no answer' } as const;
    const settlement: Settlement = { deliveryId, attempt, outcome, failure, retrySeconds: 0 };
    await transaction((trx) => settleDeliveries(trx, [settlement]));
  }

  test('200 a gift that waits for the reconciler says so, why, and since when; one that is tried again does not', async () => {
    const shown = async (id: string) => (await get(`/v1/gifts/${id}`)).body;
    const { body: gift } = await postGift(api, sender);
    expect(gift.failure).toBeNull();
    await fails(await claimGift(gift.id), 'retry');
    const why = { class: 'transient', code: 'mail_unreachable' };
    expect((await shown(gift.id)).failure).toEqual({ ...why, dead_lettered_at: null });
    await fails(await claimGift(gift.id), 'dead_letter');
    expect(await shown(gift.id)).toMatchObject({
      state: 'queued',
      failure: { ...why, dead_lettered_at: expect.stringMatching(/^\d{4}-.*Z$/) },
    });
    expect((await get('/v1/gifts')).body.data[0].failure).toMatchObject(why);

    const { body: unexplained } = await postGift(api, sender);
    await api.database.pool.query('update gifts set dead_lettered_at = now() where id = $1', [
      toUuid(unexplained.id),
    ]);
    expect((await shown(unexplained.id)).failure).toEqual({
      class: 'unknown',
      code: 'given_up_by_queue',
      dead_lettered_at: expect.any(String),
    });
    await cancel(api.database.db, unexplained.id);
    expect(await shown(unexplained.id)).toMatchObject({ state: 'cancelled', failure: null });
  });

  const lastEntry = async (id: string) => (await get(`/v1/gifts/${id}/timeline`)).body.data.at(-1);

  test('200 a gift that is queued again after a failure is said to be, until it is given up', async () => {
    const { body: gift } = await postGift(api, sender);
    await fails(await claimGift(gift.id), 'retry');
    expect(await lastEntry(gift.id)).toMatchObject({ action: 'delivery.deferred', state: 'queued' });
    await fails(await claimGift(gift.id), 'dead_letter');
    expect(await lastEntry(gift.id)).toMatchObject({ action: 'delivery.dead_lettered', state: 'queued' });
    expect((await get(`/v1/gifts/${gift.id}`)).body.state).toBe('queued');
  });

  test('200 a failure says nothing of a gift that was cancelled meanwhile, and moves none that is mailed once more', async () => {
    const { body: cancelled } = await postGift(api, sender);
    const claim = await claimGift(cancelled.id);
    await cancel(api.database.db, cancelled.id);
    await fails(claim, 'retry');
    // The end of a gift ends its deliveries: what a worker says of them later is told by nothing.
    expect(await lastEntry(cancelled.id)).toMatchObject({ action: 'gift.cancelled', state: 'cancelled' });

    const { body: resent } = await postGift(api, sender);
    await deliver(api, resent.id);
    await api.database.pool.query(
      `update deliveries set created_at = now() - interval '1 hour' where gift_id = $1`,
      [toUuid(resent.id)],
    );
    await request(api.app)
      .post(`/v1/gifts/${resent.id}/resend`)
      .set(...sender.auth)
      .set('Idempotency-Key', freshKey());
    await fails(await claimSend(JSON.parse(api.published.at(-1)?.body ?? '').id), 'retry');
    expect(await lastEntry(resent.id)).toMatchObject({ action: 'delivery.deferred', state: null });
  });

  test('200 shows what the reconciler decided', async () => {
    const { body: gift } = await postGift(api, sender);
    const { fromUuid, newUuid } = await import('../../../services/domain/ids.ts');
    const id = newUuid();
    const at = new Date();
    await api.database.db
      .insertInto('dead_letters')
      .values({
        id,
        queue: 'gifts',
        message_id: 'm-1',
        message_key: `gift.deliver:${gift.id}`,
        gift_id: toUuid(gift.id),
        class: 'transient',
        reason: 'the mail server could not be reached',
        receive_count: 6,
        sent_at: at,
        verdict: 'redrive',
        rule: 'transient',
        body: null,
        attributes: null,
        run_id: newUuid(),
        first_seen_at: at,
        last_seen_at: at,
        applied_at: null,
        archived_at: null,
      })
      .execute();
    const answer = await get(`/v1/gifts/${gift.id}/timeline`);
    expect(answer.body.data.at(-1)).toMatchObject({
      id: fromUuid('ddl', id),
      object: 'dead_letter',
      verdict: 'redrive',
      rule: 'transient',
    });
  });

  test('404 for somebody else’s', async () => {
    const { body: foreign } = await postGift(api, await api.sender());
    expect((await get(`/v1/gifts/${foreign.id}/timeline`)).status).toBe(404);
  });
});
