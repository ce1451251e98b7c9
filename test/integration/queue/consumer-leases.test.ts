import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Outcome } from '../../../services/queue/message.ts';
import { type ConsumerStage, gate, numbered, startConsumerStage } from '../../support/consuming.ts';
import { eventually } from '../../support/eventually.ts';
import { failEntries, httpError, latency } from '../../support/faults.ts';

let stage: ConsumerStage;
beforeAll(async () => {
  stage = await startConsumerStage();
});
afterEach(() => stage.clear());
afterAll(() => stage.stop());

const twoSeconds = { visibilityTimeoutSeconds: 2 };
const done: Outcome = { kind: 'done' };

/** Resolves with the reason when the signal is aborted. */
const aborted = (signal: AbortSignal) =>
  new Promise<unknown>((resolve) => {
    signal.addEventListener('abort', () => resolve(signal.reason));
  });

describe('leases', () => {
  test('a handler may run for many visibility time-outs: its message is handled once, extended ten to a request', async () => {
    const c = await stage.consume({
      pair: twoSeconds,
      handler: async () => {
        await wait(5_000);
        return done;
      },
    });
    await c.send(numbered(10));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(10));
    expect(c.events.handled).toHaveLength(10);
    expect(c.events.leaseLost).toEqual([]);
    const extensions = c.proxy.bodies('ChangeMessageVisibilityBatch');
    expect(extensions.length).toBeGreaterThanOrEqual(3);
    expect(extensions.length).toBeLessThanOrEqual(8);
    expect(extensions.every((body) => (body['Entries'] as unknown[]).length === 10)).toBe(true);
  });

  test('P10: when SQS says that the handle is stale, the handler is told and its success is not settled', async () => {
    let reason: unknown;
    const c = await stage.consume({
      pair: twoSeconds,
      abortGraceMs: 5_000,
      handler: async (_message, { signal }) => {
        reason = await aborted(signal);
        return done;
      },
    });
    c.proxy.inject({
      operation: 'ChangeMessageVisibilityBatch',
      times: 1,
      fault: failEntries(() => true, { code: 'ReceiptHandleIsInvalid', senderFault: true }),
    });
    await c.send(['m0']);
    c.consumer.start();
    await eventually(() => expect(c.events.handled.length).toBeGreaterThanOrEqual(1));
    expect(reason).toMatchObject({ code: 'lease-lost' });
    expect(c.events.leaseLost).toMatchObject([{ message: { body: 'm0' } }]);
    expect(c.events.handled[0]).toMatchObject({ outcome: 'lease-lost' });
    expect(c.events.settled).toEqual([]);
    expect(c.proxy.requests('DeleteMessageBatch')).toBe(0);
  });

  test('P10: when no extension succeeds, our own clock aborts the handler before anybody else gets the message', async () => {
    const visibleAt: number[] = [];
    let abortedAt = 0;
    const c = await stage.consume({
      pair: twoSeconds,
      abortGraceMs: 10_000,
      handler: async (message, { signal }) => {
        if (message.receiveCount > 1) {
          visibleAt.push(Date.now());
          return done;
        }
        await aborted(signal);
        abortedAt = Date.now();
        await wait(1_500);
        return done;
      },
    });
    const refused = c.proxy.inject({ operation: 'ChangeMessageVisibilityBatch', fault: httpError(500) });
    await c.send(['m0']);
    c.consumer.start();
    await eventually(() => expect(abortedAt).toBeGreaterThan(0));
    refused.remove();
    await eventually(() => expect(visibleAt).toHaveLength(1));
    expect(abortedAt).toBeLessThanOrEqual(visibleAt[0] ?? 0);
    await eventually(() => expect(c.events.handled).toHaveLength(2));
    // The first handling came to its "done" after the lease was lost: it must not have counted.
    await eventually(() => expect(c.events.settled).not.toEqual([]));
    expect(c.events.settled).toMatchObject([{ action: 'delete', message: { receiveCount: 2 } }]);
  });

  test('P10: a delete that SQS answers after the lease has run out is not reported as a success', async () => {
    const c = await stage.consume({ pair: twoSeconds, handler: async () => done });
    // SQS (and the emulator) answer 200 for a stale handle.
    c.proxy.inject({ operation: 'DeleteMessageBatch', times: 1, fault: latency(2_500) });
    await c.send(['m0']);
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(2));
    const byReceive = c.events.settled.toSorted((a, b) => a.message.receiveCount - b.message.receiveCount);
    expect(byReceive).toMatchObject([
      { action: 'delete', message: { receiveCount: 1 }, error: { code: 'LeaseLost' } },
      { action: 'delete', message: { receiveCount: 2 }, error: undefined },
    ]);
  });

  test('P11: no heartbeat for a message after its delete; a late heartbeat error is no unhandled rejection', async () => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    const opened = gate();
    const c = await stage.consume({
      pair: twoSeconds,
      handler: async () => {
        await opened.opened;
        return done;
      },
    });
    c.proxy.inject({ operation: 'ChangeMessageVisibilityBatch', times: 1, fault: latency(600) });
    c.proxy.inject({
      operation: 'ChangeMessageVisibilityBatch',
      fault: httpError(400, { code: 'AccessDenied' }),
    });
    await c.send(['m0']);
    c.consumer.start();
    await eventually(() => expect(c.proxy.open('ChangeMessageVisibilityBatch')).toHaveLength(1));
    opened.open();
    await eventually(() => expect(c.events.settled).toHaveLength(1));
    const heartbeats = c.proxy.requests('ChangeMessageVisibilityBatch');
    await wait(2_500);
    process.off('unhandledRejection', unhandled);
    expect(c.proxy.requests('ChangeMessageVisibilityBatch')).toBe(heartbeats);
    expect(c.events.leaseLost).toEqual([]);
    expect(c.events.leaseError).toEqual([]);
    expect(unhandled).not.toHaveBeenCalled();
  });

  test('a retry delay is not overwritten by a heartbeat that was on its way', async () => {
    const opened = gate();
    const c = await stage.consume({
      pair: twoSeconds,
      handler: async () => {
        await opened.opened;
        return { kind: 'retry', delaySeconds: 500, reason: 'later' };
      },
    });
    c.proxy.inject({ operation: 'ChangeMessageVisibilityBatch', times: 1, fault: latency(500) });
    await c.send(['m0']);
    c.consumer.start();
    await eventually(() => expect(c.proxy.open('ChangeMessageVisibilityBatch')).toHaveLength(1));
    opened.open();
    await eventually(() => expect(c.events.settled).toHaveLength(1));
    const [held] = (await c.contents()).inflight;
    expect(held?.visibilityDeadline).toBeGreaterThan(Date.now() + 400_000);
  });
});

describe('handlers that do not come back', () => {
  test('P2: a handler that never settles is told, reported, and its slot is taken back; polling goes on', async () => {
    const signals: AbortSignal[] = [];
    const c = await stage.consume({
      maxInFlight: 2,
      handlerTimeoutMs: 300,
      abortGraceMs: 100,
      handler: async (message, { signal }) => {
        if (!message.body.startsWith('stuck')) return done;
        signals.push(signal);
        return new Promise<Outcome>(() => undefined);
      },
    });
    await c.send(['stuck 1', 'stuck 2', ...numbered(10)]);
    c.consumer.start();
    await eventually(() =>
      expect(c.events.settled.filter((event) => event.action === 'delete')).toHaveLength(10),
    );
    await eventually(() => expect(c.events.handled.filter((e) => e.outcome === 'timed-out')).toHaveLength(2));
    expect(signals.every((signal) => signal.aborted)).toBe(true);
    expect(signals[0]?.reason).toMatchObject({ code: 'timed-out' });
    expect(c.events.timedOut).toHaveLength(2);
    expect(c.consumer.stats()).toMatchObject({ wedged: 2, 'timed-out': 2 });
    expect(c.consumer.health()).toMatchObject({ ok: false, wedged: 2 });
  });

  test('P2: the result of a handler whose slot was taken back is ignored when it comes', async () => {
    const late = gate();
    const c = await stage.consume({
      handlerTimeoutMs: 200,
      abortGraceMs: 50,
      handler: async () => {
        await late.opened;
        return done;
      },
    });
    await c.send(['m0']);
    c.consumer.start();
    await eventually(() => expect(c.consumer.stats().wedged).toBe(1));
    late.open();
    await eventually(() => expect(c.consumer.stats().wedged).toBe(0));
    await eventually(() => expect(c.events.settled).toHaveLength(1));
    expect(c.events.handled).toHaveLength(1);
    expect(c.proxy.requests('DeleteMessageBatch')).toBe(0);
    expect(c.consumer.health().ok).toBe(true);
  });

  test('P2: a handler that heeds its signal decides for itself what becomes of the message', async () => {
    const c = await stage.consume({
      handlerTimeoutMs: 200,
      handler: async (_message, { signal, deadlineAt }) => {
        expect(deadlineAt.getTime() - Date.now()).toBeLessThanOrEqual(201);
        await aborted(signal);
        return { kind: 'retry', delaySeconds: 300, reason: 'smtp_slow' };
      },
    });
    await c.send(['m0']);
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(1));
    expect(c.events.handled).toMatchObject([
      { outcome: 'retry', reason: 'smtp_slow', retryDelaySeconds: 300 },
    ]);
    expect(c.consumer.stats().wedged).toBe(0);
  });
});
