import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newId } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { accept, draftGift, fundedSender } from '../../support/gifts.ts';
import { envelopes, metricValue, publish } from './consumer-under-test.ts';
import { createWorld, deadLetters, storyOf, type World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await createWorld({ maxReceiveCount: 20 });
});

afterAll(() => world.end());

const envelope = (changes: Record<string, unknown>) =>
  JSON.stringify({
    type: 'gift.deliver',
    version: 1,
    id: newId('gft'),
    occurred_at: new Date().toISOString(),
    attempt_hint: 0,
    ...changes,
  });

test('old and new side by side: a field that the next release adds changes nothing: the gift is delivered', async () => {
  const { database, clients, queue } = world;
  const { gifts, outbox } = await accept(
    database.db,
    [draftGift(await fundedSender(database.db))],
    envelopes,
  );
  const body = JSON.stringify({
    ...JSON.parse(outbox[0]?.body ?? '{}'),
    tenant: 'blue',
    plan: { tier: 2 },
    traceparent: 'ff-of-another-form',
  });
  await publish(clients, queue, [{ body }]);
  const consumer = world.start();
  await eventually(async () => {
    const states = await Promise.all(gifts.map(({ id }) => storyOf(database, id)));
    expect(states.map(({ gift }) => gift.state)).toEqual(['delivered']);
  });
  await consumer.shutDown();
});

test.each([
  ['type', envelope({ type: 'batch.deliver', id: undefined, ids: ['a', 'b'] }), 'unknown_message_type'],
  ['version', envelope({ version: 2, id: { gift: 'gft_1' } }), 'unknown_message_version'],
])(
  'old and new side by side: an unknown %s is left in the queue for those who know it, ever more patiently',
  async (_what, body, code) => {
    const { clients, queue, emulator } = world;
    // Jitter at its least: half of 5 s, then half of 10 s.
    const consumer = world.start({}, { random: () => 0 });
    await publish(clients, queue, [{ body }]);
    const lines = () =>
      consumer.lines().filter((line) => line['event'] === 'message_handled' && line['code'] === code);
    const handled = await eventually(
      () => {
        expect(lines().length).toBeGreaterThanOrEqual(2);
        return lines();
      },
      { timeoutMs: 15_000 },
    );
    expect(handled.slice(0, 2)).toMatchObject([
      { level: 'warn', result: 'not_understood', outcome: 'retry', class: 'unknown', retry_delay_seconds: 3 },
      { receive_count: 2, retry_delay_seconds: 5 },
    ]);
    expect((await deadLetters(emulator, queue)).filter((letter) => letter.body === body)).toEqual([]);
    expect(await metricValue(consumer.metrics, 'gifts_dead_lettered_total')).toBe(0);
    const { ready, delayed, inflight } = await emulator.inspect(queue.name);
    const left = [...ready, ...delayed, ...inflight.map(({ message }) => message)].map((found) => found.body);
    expect(left).toContain(body);
    await consumer.shutDown();
  },
);
