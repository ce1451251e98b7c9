import { afterAll, describe, expect, test } from '@jest/globals';
import { type QueueConsumerOptions, resolveOptions } from '../../../services/queue/consumer-options.ts';
import { createQueueClients } from '../../../services/queue/sqs.ts';

const clients = createQueueClients({ region: 'eu-central-1' });
afterAll(() => clients.destroy());

const queue = {
  name: 'gifts',
  url: 'https://sqs.eu-central-1.amazonaws.com/123456789012/gifts',
  deadLetterUrl: 'https://sqs.eu-central-1.amazonaws.com/123456789012/gifts-dlq',
  visibilityTimeoutSeconds: 30,
};
const resolve = (options: Partial<QueueConsumerOptions>) =>
  resolveOptions({ clients, queue, handler: async () => ({ kind: 'done' }), ...options });

describe('resolveOptions', () => {
  test('the defaults agree with each other', () => {
    expect(resolve({})).toMatchObject({
      maxInFlight: 50,
      maxReceivers: 5,
      waitTimeSeconds: 20,
      graceMs: 25_000,
    });
  });

  test('a window below ten has one receiver', () => {
    expect(resolve({ maxInFlight: 3 }).maxReceivers).toBe(1);
  });

  test('an option given as undefined is one that was not given', () => {
    const options = { maxInFlight: undefined } as unknown as Partial<QueueConsumerOptions>;
    expect(resolve(options).maxInFlight).toBe(50);
  });

  test.each<[string, Partial<QueueConsumerOptions>]>([
    ['maxInFlight', { maxInFlight: 0 }],
    ['maxInFlight', { maxInFlight: 2.5 }],
    ['maxReceivers', { maxReceivers: 0 }],
    ['maxReceivers is 9, above maxInFlight', { maxReceivers: 9, maxInFlight: 5 }],
    ['waitTimeSeconds', { waitTimeSeconds: 21 }],
    ['waitTimeSeconds', { waitTimeSeconds: 0 }],
    ['handlerTimeoutMs', { handlerTimeoutMs: 12 * 3_600_000 }],
    ['graceMs is 22000, too little above waitTimeSeconds', { graceMs: 22_000 }],
    ['settleDelayMs', { settleDelayMs: 500, queue: { ...queue, visibilityTimeoutSeconds: 1 } }],
    ['queue.visibilityTimeoutSeconds', { queue: { ...queue, visibilityTimeoutSeconds: 0 } }],
    ['must be URLs', { queue: { ...queue, url: 'gifts' } }],
    ['queue.deadLetterUrl equals queue.url', { queue: { ...queue, deadLetterUrl: queue.url } }],
  ])('refuses with a sentence about: %s', (text, options) => {
    expect(() => resolve(options)).toThrow(text);
  });

  test('reports every problem at once', () => {
    expect(() => resolve({ maxInFlight: 0, waitTimeSeconds: 99 })).toThrow(
      /maxInFlight is 0[\s\S]*waitTimeSeconds is 99/,
    );
  });
});
