import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { decodeEnvelope } from '../../../services/queue/envelope.ts';
import type { Outcome } from '../../../services/queue/message.ts';
import type { QueueClients } from '../../../services/queue/sqs.ts';
import { bodiesOf, type ConsumerStage, gate, numbered, startConsumerStage } from '../../support/consuming.ts';
import { eventually } from '../../support/eventually.ts';
import { type Fault, failEntries, hang } from '../../support/faults.ts';

let stage: ConsumerStage;
beforeAll(async () => {
  stage = await startConsumerStage();
});
afterEach(() => stage.clear());
afterAll(() => stage.stop());

const done = async (): Promise<Outcome> => ({ kind: 'done' });

describe('outcomes', () => {
  test('done: every message is handled once and deleted, ten to a request', async () => {
    const c = await stage.consume({ handler: done });
    await c.send(numbered(100));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(100));
    expect(bodiesOf(c.events.handled)).toEqual(numbered(100).sort());
    expect(await c.contents()).toMatchObject({ ready: [], inflight: [] });
    expect(c.proxy.requests('DeleteMessageBatch')).toBeLessThanOrEqual(12);
    expect(c.proxy.requests('DeleteMessage')).toBe(0);
    expect(c.consumer.stats()).toMatchObject({ received: 100, done: 100, settleErrors: 0, inFlight: 0 });
  });

  test('retry: the message is hidden for the delay that the handler named, in the same batch as its neighbours', async () => {
    const c = await stage.consume({
      handler: async () => ({ kind: 'retry', delaySeconds: 600, reason: 'smtp_busy' }),
    });
    await c.send(numbered(10));
    c.consumer.start();
    const before = Date.now();
    await eventually(() => expect(c.events.settled).toHaveLength(10));
    const { inflight } = await c.contents();
    expect(inflight).toHaveLength(10);
    for (const { visibilityDeadline } of inflight) {
      expect(Math.abs(visibilityDeadline - before - 600_000)).toBeLessThan(30_000);
    }
    expect(c.proxy.requests('ChangeMessageVisibilityBatch')).toBe(1);
    expect(c.events.handled[0]).toMatchObject({
      outcome: 'retry',
      reason: 'smtp_busy',
      retryDelaySeconds: 600,
    });
  });

  test('dead-letter: the copy with its reason is in the dead-letter queue before the original is deleted', async () => {
    const c = await stage.consume({
      handler: async () => ({ kind: 'dead-letter', class: 'permanent', reason: 'hard_bounce' }),
    });
    c.proxy.inject({ operation: 'DeleteMessageBatch', times: 1, fault: hang() });
    await c.send(['m0']);
    c.consumer.start();
    await eventually(() => expect(c.proxy.open('DeleteMessageBatch')).toHaveLength(1));
    const { ready } = await c.deadLetters();
    expect(ready).toHaveLength(1);
    expect(ready[0]?.body).toBe('m0');
    expect(ready[0]?.messageAttributes).toMatchObject({
      dead_letter_class: { StringValue: 'permanent' },
      dead_letter_reason: { StringValue: 'hard_bounce' },
    });
  });

  test('dead-letter: without a confirmed copy the original is not deleted', async () => {
    const c = await stage.consume({
      handler: async () => ({ kind: 'dead-letter', class: 'permanent', reason: 'hard_bounce' }),
    });
    const failAll = failEntries(() => true, { code: 'InvalidMessageContents', senderFault: true });
    c.proxy.inject({ operation: 'SendMessageBatch', fault: failAll });
    await c.send(['m0']);
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(1));
    expect(c.events.settled[0]).toMatchObject({
      action: 'dead-letter',
      error: { code: 'InvalidMessageContents' },
    });
    expect(c.proxy.requests('DeleteMessageBatch')).toBe(0);
    expect((await c.contents()).inflight).toHaveLength(1);
  });

  test('a handler that throws, even before its first await, is a retry with backoff', async () => {
    const failure = new TypeError('broken');
    const c = await stage.consume({
      handler: () => {
        throw failure;
      },
    });
    await c.send(['m0']);
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(1));
    expect(c.events.handled[0]).toMatchObject({ outcome: 'retry', reason: 'TypeError', error: failure });
    expect(c.events.settled[0]).toMatchObject({ action: 'change-visibility' });
  });

  test('the handlers of one receive start in the same tick', async () => {
    let startedInTick = 0;
    const ticks: number[] = [];
    const c = await stage.consume({
      handler: async () => {
        startedInTick += 1;
        if (startedInTick === 1) {
          process.nextTick(() => {
            ticks.push(startedInTick);
            startedInTick = 0;
          });
        }
        return { kind: 'done' };
      },
    });
    await c.send(numbered(10));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(10));
    expect(ticks).toEqual([10]);
  });

  test('an observer that throws costs no message', async () => {
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const broken = () => {
      throw new Error('broken metric');
    };
    const c = await stage.consume({
      handler: done,
      observer: { received: broken, handled: broken, settled: broken },
    });
    await c.send(numbered(3));
    c.consumer.start();
    await eventually(async () => expect(await c.contents()).toMatchObject({ ready: [], inflight: [] }));
    expect(warn.mock.calls[0]?.[0]).toContain('broken metric');
    warn.mockRestore();
  });
});

describe('messages that no handler can read', () => {
  test('P12: one poison message neither rolls back nor delays the other nine', async () => {
    const envelope = (index: number) =>
      JSON.stringify({
        type: 'gift.deliver',
        version: 1,
        id: `gft_${index}`,
        occurred_at: '2026-01-02T03:04:05Z',
        attempt_hint: 0,
      });
    const c = await stage.consume({
      handler: async (message) => {
        decodeEnvelope(message.body);
        return { kind: 'done' };
      },
    });
    await c.send(numbered(10).map((_, index) => (index === 4 ? '{"type":' : envelope(index))));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(10));
    expect(c.events.handled.filter((event) => event.outcome === 'done')).toHaveLength(9);
    expect(c.events.handled.find((event) => event.outcome !== 'done')).toMatchObject({
      message: { body: '{"type":' },
      outcome: 'retry',
      reason: 'PoisonMessageError',
    });
    expect(c.events.received.flatMap(({ messages }) => messages)).toHaveLength(10);
    expect((await c.contents()).inflight).toHaveLength(1);
  });
});

describe('sockets', () => {
  /** With one socket per client. @returns the polls that were open when each settling request arrived */
  async function pollsOpenWhenSettling(rewire?: (clients: QueueClients) => QueueClients): Promise<number[]> {
    const { opened, open } = gate();
    const c = await stage.consume({
      maxSockets: 1,
      ...(rewire === undefined ? {} : { rewire }),
      maxReceivers: 1,
      waitTimeSeconds: 3,
      graceMs: 8_000,
      handler: async ({ body }) => {
        await opened;
        return body === 'm0' ? { kind: 'retry', delaySeconds: 600, reason: 'later' } : { kind: 'done' };
      },
    });
    const openPolls: number[] = [];
    for (const operation of ['DeleteMessageBatch', 'ChangeMessageVisibilityBatch']) {
      const fault: Fault = () => {
        openPolls.push(c.proxy.open('ReceiveMessage').length);
        return 'pass-on';
      };
      c.proxy.inject({ operation, fault });
    }
    await c.send(numbered(10));
    c.consumer.start();
    await eventually(() => expect(c.consumer.stats().inFlight).toBe(10));
    await eventually(() => expect(c.proxy.open('ReceiveMessage')).toHaveLength(1));
    open();
    await eventually(() => expect(c.events.settled).toHaveLength(10));
    expect(openPolls).toHaveLength(2);
    return openPolls;
  }

  test('P14: deletes and visibility changes go through while every socket for receives sits in a long poll', async () => {
    expect(await pollsOpenWhenSettling()).toEqual([1, 1]);
    // Were there one client for all, they would have to wait until the poll has ended.
    const shared = await pollsOpenWhenSettling((clients) => ({ ...clients, settling: clients.receiving }));
    expect(shared).toEqual([0, 0]);
  });
});
