import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Outcome } from '../../../services/queue/message.ts';
import { type ConsumerStage, numbered, startConsumerStage } from '../../support/consuming.ts';
import { eventually } from '../../support/eventually.ts';
import { failEntries, httpError, loseResponse } from '../../support/faults.ts';

let stage: ConsumerStage;
beforeAll(async () => {
  stage = await startConsumerStage();
});
afterEach(() => stage.clear());
afterAll(() => stage.stop());

const done = async (): Promise<Outcome> => ({ kind: 'done' });

describe('P8: an entry that SQS did not confirm is never reported as settled', () => {
  test('P8: entries that fail inside an HTTP 200 are repeated alone until they succeed', async () => {
    const c = await stage.consume({ handler: done });
    const failing = failEntries((_entry, index) => index < 3);
    c.proxy.inject({ operation: 'DeleteMessageBatch', times: 1, fault: failing });
    await c.send(numbered(10));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(10));
    expect(c.events.settled.every((event) => event.error === undefined)).toBe(true);
    const sizes = c.proxy.bodies('DeleteMessageBatch').map((body) => (body['Entries'] as unknown[]).length);
    expect(sizes).toEqual([10, 3]);
    expect(await c.contents()).toMatchObject({ ready: [], inflight: [] });
  });

  test('P8: entries that keep failing are reported as failed after a bounded number of requests; the others as done', async () => {
    const c = await stage.consume({ handler: done });
    c.proxy.inject({ operation: 'DeleteMessageBatch', fault: failEntries(({ Id }) => Id === '4') });
    await c.send(numbered(10));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(10), { timeoutMs: 25_000 });
    const failed = c.events.settled.filter((event) => event.error !== undefined);
    expect(failed.length).toBeLessThanOrEqual(1);
    expect((await c.contents()).inflight).toHaveLength(failed.length);
    expect(c.proxy.requests('DeleteMessageBatch')).toBeLessThanOrEqual(15);
  }, 30_000);

  test('a fault of SQS that it calls the sender’s is repeated: a throttled delete costs no second delivery', async () => {
    const c = await stage.consume({ handler: done });
    const throttled = failEntries(() => true, { code: 'KMS.ThrottlingException', senderFault: true });
    c.proxy.inject({ operation: 'DeleteMessageBatch', times: 1, fault: throttled });
    await c.send(['m0']);
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(1));
    expect(c.events.settled[0]?.error).toBeUndefined();
    expect(c.proxy.requests('DeleteMessageBatch')).toBe(2);
  });

  test('P8: what is our fault is not repeated, and is reported with its code', async () => {
    const c = await stage.consume({ handler: done });
    const ours = failEntries((_entry, index) => index === 0, { code: 'AccessDenied', senderFault: true });
    c.proxy.inject({ operation: 'DeleteMessageBatch', fault: ours });
    await c.send(numbered(10));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(10));
    const failed = c.events.settled.filter((event) => event.error !== undefined);
    expect(failed).toMatchObject([{ action: 'delete', error: { code: 'AccessDenied' } }]);
    expect(c.proxy.requests('DeleteMessageBatch')).toBe(1);
    expect(c.consumer.stats().settleErrors).toBe(1);
  });

  test('P8: a failed visibility change is repeated alone', async () => {
    const c = await stage.consume({
      handler: async () => ({ kind: 'retry', delaySeconds: 900, reason: 'later' }),
    });
    c.proxy.inject({
      operation: 'ChangeMessageVisibilityBatch',
      times: 1,
      fault: failEntries((_entry, index) => index === 9),
    });
    await c.send(numbered(10));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(10));
    expect(c.events.settled.every((event) => event.error === undefined)).toBe(true);
    const inAWhile = Date.now() + 800_000;
    expect((await c.contents()).inflight.every((held) => held.visibilityDeadline > inAWhile)).toBe(true);
  });

  test('P9: a delete whose whole request fails settles every waiting message, and is tried again', async () => {
    const c = await stage.consume({ handler: done });
    c.proxy.inject({ operation: 'DeleteMessageBatch', times: 4, fault: httpError(503) });
    await c.send(numbered(10));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(10));
    expect(c.events.settled.every((event) => event.error === undefined)).toBe(true);
    expect(c.consumer.stats().settling).toBe(0);
  });

  test('P9: a delete that nobody will ever permit settles every waiting message as failed', async () => {
    const c = await stage.consume({ handler: done });
    c.proxy.inject({
      operation: 'DeleteMessageBatch',
      fault: httpError(403, { code: 'AccessDeniedException' }),
    });
    await c.send(numbered(10));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(10), { timeoutMs: 25_000 });
    expect(c.events.settled.every((event) => event.error !== undefined)).toBe(true);
    expect(c.consumer.stats()).toMatchObject({ settling: 0, settleErrors: 10 });
  }, 30_000);

  test('a delete whose answer is lost is repeated and does no harm', async () => {
    const c = await stage.consume({ handler: done });
    c.proxy.inject({ operation: 'DeleteMessageBatch', times: 1, fault: loseResponse() });
    await c.send(numbered(10));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(10));
    expect(c.events.settled.every((event) => event.error === undefined)).toBe(true);
  });
});
