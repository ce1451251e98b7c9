import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Outcome } from '../../../services/queue/message.ts';
import { maxReceiveCountFor } from '../../../services/queue/queue-settings.ts';
import { type ConsumerStage, gate, numbered, startConsumerStage } from '../../support/consuming.ts';
import { eventually } from '../../support/eventually.ts';
import { hang } from '../../support/faults.ts';

let stage: ConsumerStage;
beforeAll(async () => {
  stage = await startConsumerStage();
});
afterEach(() => stage.clear());
afterAll(() => stage.stop());

const done: Outcome = { kind: 'done' };
const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });

describe('stop', () => {
  test('P5: a message that arrives with the open poll after SIGTERM is visible again at once, and no handler saw it', async () => {
    const handled: string[] = [];
    const c = await stage.consume({
      waitTimeSeconds: 20,
      graceMs: 25_000,
      handler: async (message) => {
        handled.push(message.body);
        return done;
      },
    });
    c.consumer.start();
    await eventually(() => expect(c.proxy.open('ReceiveMessage')).toHaveLength(1));
    const stopping = c.consumer.stop();
    await c.send(['late']);
    await stopping;
    expect(handled).toEqual([]);
    const { ready, inflight } = await c.contents();
    expect(inflight).toEqual([]);
    expect(ready).toMatchObject([{ body: 'late', approximateReceiveCount: 1 }]);
    expect(c.events.handled).toMatchObject([{ outcome: 'released', reason: 'shutdown' }]);
  });

  test('P5: no new receive starts after stop, and the open poll is not cut before the grace is nearly spent', async () => {
    const c = await stage.consume({ waitTimeSeconds: 2, graceMs: 6_000, handler: async () => done });
    c.consumer.start();
    await eventually(() => expect(c.proxy.open('ReceiveMessage')).toHaveLength(1));
    const before = c.proxy.requests('ReceiveMessage');
    await c.consumer.stop();
    expect(c.proxy.requests('ReceiveMessage')).toBe(before);
    expect(c.events.loopError).toEqual([]);
    expect(c.consumer.health()).toMatchObject({ ok: true, state: 'stopped' });
  });

  test('P6: buffered-unstarted messages are released and finished work is deleted before stop resolves', async () => {
    const opened = gate();
    const c = await stage.consume({
      maxInFlight: 4,
      settleDelayMs: 2_000,
      handler: async () => {
        await opened.opened;
        return done;
      },
    });
    // Ten where four were asked for: as when handlers that were fast enough to receive ahead of room suddenly stand still.
    c.proxy.inject({
      operation: 'ReceiveMessage',
      times: 1,
      fault: async (exchange) => {
        exchange.send(await exchange.forward({ ...exchange.body(), MaxNumberOfMessages: 10 }));
        return undefined;
      },
    });
    await c.send(numbered(10));
    c.consumer.start();
    await eventually(() => expect(c.consumer.stats()).toMatchObject({ inFlight: 4, waiting: 6 }));
    const stopping = c.consumer.stop();
    expect(c.consumer.stats().waiting).toBe(0);
    opened.open();
    await stopping;
    expect(c.consumer.stats()).toMatchObject({
      done: 4,
      released: 6,
      inFlight: 0,
      settling: 0,
      settleErrors: 0,
    });
    const { ready, inflight } = await c.contents();
    expect(inflight).toEqual([]);
    expect(ready).toHaveLength(6);
  });

  test('P6: what does not finish within the grace is told, released, and stop resolves within the grace', async () => {
    const reasons: unknown[] = [];
    const c = await stage.consume({
      graceMs: 2_000,
      abortGraceMs: 200,
      handler: async (message, { signal }) => {
        if (message.body === 'm0') return new Promise<Outcome>(() => undefined);
        return untilAborted(signal).catch((reason) => {
          reasons.push(reason);
          throw reason;
        });
      },
    });
    await c.send(numbered(3));
    c.consumer.start();
    await eventually(() => expect(c.consumer.stats().inFlight).toBe(3));
    const startedAt = performance.now();
    await c.consumer.stop();
    expect(performance.now() - startedAt).toBeLessThan(2_200);
    expect(reasons).toMatchObject([{ code: 'shutdown' }, { code: 'shutdown' }]);
    expect(c.events.handled.map((event) => event.outcome)).toEqual(['released', 'released', 'released']);
    expect(await c.contents()).toMatchObject({ ready: [{}, {}, {}], inflight: [] });
  });

  test('P6: a handler that finishes during the shutdown counts', async () => {
    const c = await stage.consume({
      handler: async () => {
        await wait(600);
        return done;
      },
    });
    await c.send(numbered(10));
    c.consumer.start();
    await eventually(() => expect(c.consumer.stats().inFlight).toBe(10));
    await c.consumer.stop();
    expect(c.events.settled.filter((event) => event.error === undefined)).toHaveLength(10);
    expect(await c.contents()).toMatchObject({ ready: [], inflight: [] });
  });

  test('P6: with SQS gone, stop still resolves within the grace', async () => {
    const c = await stage.consume({ graceMs: 2_500, handler: async () => done });
    for (const operation of ['DeleteMessageBatch', 'ReceiveMessage']) {
      c.proxy.inject({
        operation,
        fault: hang(),
        ...(operation === 'ReceiveMessage' ? { when: () => stuck } : {}),
      });
    }
    let stuck = false;
    await c.send(numbered(5));
    c.consumer.start();
    await eventually(() => expect(c.proxy.open('DeleteMessageBatch').length).toBeGreaterThan(0));
    stuck = true;
    await eventually(() => expect(c.consumer.stats().openReceives).toBe(1));
    const startedAt = performance.now();
    await c.consumer.stop();
    expect(performance.now() - startedAt).toBeLessThan(2_800);
  });

  test('P7: after many scale-ins a healthy message is not in the dead-letter queue and lost no attempt', async () => {
    const scaleIns = 6;
    const maxReceiveCount = maxReceiveCountFor(5);
    const first = await stage.consume({
      pair: { maxReceiveCount },
      graceMs: 1_400,
      abortGraceMs: 100,
      handler: async (_message, { signal }) => untilAborted(signal),
    });
    await first.send(['m0']);
    let replica = first;
    for (let i = 0; i < scaleIns; i += 1) {
      replica.consumer.start();
      await eventually(() => expect(replica.consumer.stats().inFlight).toBe(1));
      await replica.consumer.stop();
      expect(replica.consumer.stats()).toMatchObject({
        released: 1,
        retry: 0,
        'timed-out': 0,
        'dead-letter': 0,
      });
      replica = await stage.consume({
        sharing: first.queue,
        graceMs: 1_400,
        abortGraceMs: 100,
        handler: i === scaleIns - 1 ? async () => done : async (_message, { signal }) => untilAborted(signal),
      });
    }
    replica.consumer.start();
    await eventually(() => expect(replica.events.settled).toHaveLength(1));
    expect(replica.events.handled).toMatchObject([{ outcome: 'done', receiveCount: scaleIns + 1 }]);
    expect(await first.deadLetters()).toMatchObject({ ready: [], inflight: [], delayed: [] });
    expect(await first.contents()).toMatchObject({ ready: [], inflight: [] });
  }, 40_000);
});

describe('the life of a consumer', () => {
  test('stop before start, and stop twice, resolve; start twice is refused', async () => {
    const unused = await stage.consume({ handler: async () => done });
    await unused.consumer.stop();
    expect(() => unused.consumer.start()).toThrow('the consumer is stopped');
    const c = await stage.consume({ handler: async () => done });
    c.consumer.start();
    expect(() => c.consumer.start()).toThrow('the consumer is running');
    expect(c.consumer.stop()).toBe(c.consumer.stop());
    await c.consumer.stop();
  });
});
