import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Outcome } from '../../../services/queue/message.ts';
import { type ConsumerStage, gate, numbered, startConsumerStage } from '../../support/consuming.ts';
import { eventually } from '../../support/eventually.ts';
import { duplicate, hang, httpError, latency, respondWith, staleCounts } from '../../support/faults.ts';

let stage: ConsumerStage;
beforeAll(async () => {
  stage = await startConsumerStage();
});
afterEach(() => stage.clear());
afterAll(() => stage.stop());

const done = async (): Promise<Outcome> => ({ kind: 'done' });

describe('the window', () => {
  test('never more handlers than maxInFlight, and receives ask for ten', async () => {
    let running = 0;
    let most = 0;
    const c = await stage.consume({
      maxInFlight: 30,
      handler: async () => {
        running += 1;
        most = Math.max(most, running);
        await wait(5);
        running -= 1;
        return { kind: 'done' };
      },
    });
    await c.send(numbered(400));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(400), { timeoutMs: 20_000 });
    expect(most).toBeLessThanOrEqual(30);
    expect(most).toBeGreaterThan(10);
    const asked = c.proxy.bodies('ReceiveMessage').map((body) => body['MaxNumberOfMessages']);
    expect(new Set(asked)).toEqual(new Set([10]));
  });

  test('a window below ten asks for what it holds', async () => {
    const c = await stage.consume({ maxInFlight: 3, handler: done });
    await c.send(numbered(9));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(9));
    const asked = c.proxy.bodies('ReceiveMessage').map((body) => Number(body['MaxNumberOfMessages']));
    expect(Math.max(...asked)).toBe(3);
  });

  test('one long handler in a small window does not idle the others', async () => {
    const long = gate();
    let first = true;
    const c = await stage.consume({
      maxInFlight: 10,
      handler: async () => {
        if (first) {
          first = false;
          await long.opened;
        }
        return { kind: 'done' };
      },
    });
    await c.send(numbered(30));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(29));
    long.open();
    await eventually(() => expect(c.events.settled).toHaveLength(30));
  });

  test('messages beyond what was asked for are handled too, not dropped', async () => {
    const c = await stage.consume({ maxInFlight: 10, handler: done });
    c.proxy.inject({ operation: 'ReceiveMessage', times: 1, fault: duplicate({ copies: 2 }) });
    await c.send(numbered(10));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(30));
    expect(c.consumer.stats()).toMatchObject({ received: 30, done: 30, inFlight: 0, waiting: 0 });
  });

  test('P1: with 1 in 10 handlers at 500 ms, four fifths of the no-tail messages are handled in the same time', async () => {
    const start = async (durationMs: (serial: number) => number) => {
      const counts = { started: 0, handled: 0 };
      const c = await stage.consume({
        maxInFlight: 200,
        handler: async () => {
          counts.started += 1;
          await wait(durationMs(counts.started));
          counts.handled += 1;
          return { kind: 'done' };
        },
      });
      // Receives of 100 ms: what five receivers bring is the limit, not this machine, and the tail must not lower it.
      c.proxy.inject({ operation: 'ReceiveMessage', fault: latency(100) });
      await c.send(numbered(3_000));
      c.consumer.start();
      return counts;
    };
    // Side by side, so that whatever else this machine does slows both.
    const runs = await Promise.all([start(() => 20), start((serial) => (serial % 10 === 0 ? 500 : 20))]);
    await eventually(() => expect(Math.min(...runs.map(({ handled }) => handled))).toBeGreaterThan(300));
    const before = runs.map(({ handled }) => handled);
    await wait(2_000);
    const [noTail = 0, tail = 0] = runs.map(({ handled }, index) => handled - (before[index] ?? 0));
    expect(noTail).toBeGreaterThan(200);
    expect(tail).toBeGreaterThanOrEqual(0.8 * noTail);
  });
});

describe('requests', () => {
  test('P17: at saturation at most 0.21 requests per message, tail included', async () => {
    let serial = 0;
    const c = await stage.consume({
      maxInFlight: 100,
      handler: async () => {
        serial += 1;
        await wait(serial % 10 === 0 ? 500 : 20);
        return { kind: 'done' };
      },
    });
    await c.send(numbered(4_000));
    c.consumer.start();
    await eventually(() => expect(c.consumer.stats().done).toBeGreaterThan(500), { timeoutMs: 20_000 });
    const before = { done: c.consumer.stats().done, requests: c.proxy.requests() };
    await eventually(() => expect(c.consumer.stats().done).toBeGreaterThan(3_000), { timeoutMs: 20_000 });
    const messages = c.consumer.stats().done - before.done;
    expect((c.proxy.requests() - before.requests) / messages).toBeLessThanOrEqual(0.21);
  });

  test('P17: after a burst an idle consumer holds exactly one open poll', async () => {
    const c = await stage.consume({ maxInFlight: 100, waitTimeSeconds: 5, graceMs: 10_000, handler: done });
    await c.send(numbered(500));
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(500));
    await eventually(() => expect(c.proxy.open('ReceiveMessage')).toHaveLength(1));
    const before = c.proxy.requests('ReceiveMessage');
    const seen = new Set<number>();
    const until = performance.now() + 5_000;
    while (performance.now() < until) {
      seen.add(c.proxy.open('ReceiveMessage').length);
      await wait(50);
    }
    expect(Math.max(...seen)).toBe(1);
    expect(c.proxy.requests('ReceiveMessage') - before).toBeLessThanOrEqual(2);
    await c.send(['end the poll']);
  });
});

describe('trouble', () => {
  test('P3: a receive whose socket hangs is cut within WaitTime + 5 s, and polling goes on', async () => {
    const c = await stage.consume({ handler: done });
    c.proxy.inject({ operation: 'ReceiveMessage', times: 1, fault: hang() });
    const startedAt = performance.now();
    c.consumer.start();
    await c.send(['m0']);
    await eventually(() => expect(c.events.settled).toHaveLength(1), { timeoutMs: 12_000 });
    const elapsedMs = performance.now() - startedAt;
    expect(c.events.loopError).toMatchObject([{ error: { code: 'receive_timeout' } }]);
    expect(elapsedMs).toBeGreaterThan(5_500);
    expect(elapsedMs).toBeLessThan(9_000);
  });

  test('P4: against a persistent error there is at most one request a second, after back-off', async () => {
    const c = await stage.consume({ handler: done });
    c.proxy.inject({ operation: 'ReceiveMessage', fault: httpError(500, { code: 'InternalError' }) });
    c.consumer.start();
    await eventually(() => expect(c.events.loopError.length).toBeGreaterThanOrEqual(2));
    const before = c.proxy.requests('ReceiveMessage');
    await wait(4_000);
    expect(c.proxy.requests('ReceiveMessage') - before).toBeLessThanOrEqual(4);
    expect(c.consumer.health()).toMatchObject({ ok: true, reachable: false });
  });

  test('P4: an endpoint that refuses connections is found again when it is back', async () => {
    const c = await stage.consume({ handler: done });
    await c.proxy.goDown();
    await c.send(['m0']);
    c.consumer.start();
    await eventually(() => expect(c.events.loopError.length).toBeGreaterThanOrEqual(2));
    await c.proxy.comeBack();
    await eventually(() => expect(c.events.settled).toHaveLength(1), { timeoutMs: 20_000 });
    expect(c.consumer.health()).toMatchObject({ ok: true, reachable: true });
  }, 30_000);

  test('P4: an error in the midst of a backlog makes the helpers leave and the anchor back off', async () => {
    const c = await stage.consume({ maxInFlight: 100, handler: done });
    await c.send(numbered(300));
    c.proxy.inject({ operation: 'ReceiveMessage', times: 3, fault: httpError(503) });
    c.consumer.start();
    await eventually(() => expect(c.events.settled).toHaveLength(300), { timeoutMs: 20_000 });
    expect(c.events.loopError.length).toBeGreaterThanOrEqual(3);
  }, 30_000);

  test('P15: silent empty receives from a full queue raise the alarm from our own counters', async () => {
    const c = await stage.consume({
      handler: done,
      emptyReceivesBeforeCheck: 2,
      starvationCheckIntervalMs: 0,
    });
    c.proxy.inject({ operation: 'ReceiveMessage', fault: respondWith({}) });
    c.proxy.inject({
      operation: 'GetQueueAttributes',
      fault: staleCounts({
        ApproximateNumberOfMessages: '70000',
        ApproximateNumberOfMessagesNotVisible: '120000',
      }),
    });
    c.consumer.start();
    await eventually(() => expect(c.events.starved.length).toBeGreaterThan(0));
    expect(c.events.starved[0]).toMatchObject({ visible: 70_000, inFlight: 120_000 });
    expect(c.consumer.stats().starved).toBe(true);
    c.proxy.heal();
    await c.send(['m0']);
    await eventually(() => expect(c.consumer.stats().starved).toBe(false));
  });

  test('P15: an idle consumer on an empty queue asks for its depth once and raises nothing', async () => {
    const c = await stage.consume({ handler: done, emptyReceivesBeforeCheck: 2 });
    c.consumer.start();
    await eventually(() => expect(c.consumer.stats().emptyReceives).toBeGreaterThanOrEqual(4));
    expect(c.proxy.requests('GetQueueAttributes')).toBe(1);
    expect(c.events.starved).toEqual([]);
  });

  test('instant empty receives are paced and told of once, until the endpoint waits again', async () => {
    const c = await stage.consume({ handler: done });
    const { remove } = c.proxy.inject({ operation: 'ReceiveMessage', fault: respondWith({}) });
    const startedAt = performance.now();
    c.consumer.start();
    await eventually(() => expect(c.proxy.requests('ReceiveMessage')).toBeGreaterThanOrEqual(6), {
      timeoutMs: 15_000,
    });
    // Half of 100, 200, 400, 800 and 1,600 ms at least lie between the six.
    expect(performance.now() - startedAt).toBeGreaterThan(1_500);
    expect(c.events.longPolling).toEqual([{ honoured: false }]);
    remove();
    await c.send(['m0']);
    await eventually(() => expect(c.events.settled).toHaveLength(1));
    await eventually(() => expect(c.events.longPolling).toEqual([{ honoured: false }, { honoured: true }]));
  });
});
