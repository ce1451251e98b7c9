import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { postGift, startTestApi, stateOf, type TestApi, type TestSender } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';

let api: TestApi;
let sender: TestSender;
beforeAll(async () => {
  api = await startTestApi();
  sender = await api.sender();
});
afterAll(() => api.close());

describe('POST /v1/gifts 202', () => {
  test('answers with the gift, stores it with its money, hands its message to the relay, and tells of it', async () => {
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
    expect(metrics).toMatch(
      /largesse_http_request_seconds_count\{method="POST",route="\/v1\/gifts",status="202"\} 1/,
    );
  });
});
