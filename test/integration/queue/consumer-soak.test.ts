import { setTimeout as wait } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Outcome } from '../../../services/queue/message.ts';
import { QueueConsumer } from '../../../services/queue/queue-consumer.ts';
import type { QueueClients } from '../../../services/queue/sqs.ts';
import { type EndlessQueue, startEndlessQueue } from '../../support/endless-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { clientsFor } from '../../support/sqs-under-test.ts';

/** `SOAK_MESSAGES=1000000` for the whole of P16; the default keeps the suite short. */
const messageCount = Number(process.env['SOAK_MESSAGES'] ?? 60_000);
/** Enough for the JIT, the connections and the allocator's own reserves to have settled. */
const warmUpCount = Math.min(messageCount / 3, 100_000);
const timeoutMs = 180_000 + messageCount;
const done: Outcome = { kind: 'done' };
const mebibyte = 1_048_576;

let queue: EndlessQueue;
let clients: QueueClients;
beforeAll(async () => {
  queue = await startEndlessQueue();
  clients = clientsFor({ endpoint: queue.endpoint, region: 'eu-central-1' });
});
afterAll(async () => {
  clients.destroy();
  await queue.stop();
});

function memoryMiB(): { used: number; resident: number } {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { used: (heapUsed + external) / mebibyte, resident: rss / mebibyte };
}

/** Numbers of a run that was asked for, which are worth keeping. */
function report(startedAtMs: number, usedMiB: number, residentMiB: number): void {
  if (process.env['SOAK_MESSAGES'] === undefined) return;
  const seconds = (performance.now() - startedAtMs) / 1_000;
  process.stderr.write(
    `${messageCount} messages in ${seconds.toFixed(0)} s; since ${warmUpCount}: heap and external ${usedMiB.toFixed(1)} MiB, RSS ${residentMiB.toFixed(1)} MiB\n`,
  );
}

test(
  `P16: memory stays flat over ${messageCount} messages, time-outs, aborts, heartbeats and throws included`,
  async () => {
    let serial = 0;
    const consumer = new QueueConsumer({
      clients,
      queue: {
        name: 'endless',
        url: queue.url,
        deadLetterUrl: queue.deadLetterUrl,
        // Spare enough for a machine that stalls; still extended before a handler times out.
        visibilityTimeoutSeconds: 24,
      },
      maxInFlight: 100,
      waitTimeSeconds: 1,
      handlerTimeoutMs: 13_000,
      abortGraceMs: 20,
      handler: async (_message, { signal }) => {
        serial += 1;
        if (serial % 500 === 0) throw new Error('now and then one throws');
        if (serial % 500 === 1) return { kind: 'retry', delaySeconds: 30, reason: 'later' };
        if (serial % 500 === 2) return { kind: 'dead-letter', class: 'permanent', reason: 'no' };
        // Long enough for a heartbeat, then aborted: one heeds its signal, one never settles.
        if (serial % 1_000 === 3)
          return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        if (serial % 1_000 === 503) return new Promise<Outcome>(() => undefined);
        if (serial % 10 === 4) await wait(1);
        return done;
      },
    });
    const startedAtMs = performance.now();
    consumer.start();
    const handled = () => {
      const { done: ok, retry, 'dead-letter': dead, 'timed-out': timedOut } = consumer.stats();
      return ok + retry + dead + timedOut;
    };
    const reach = (count: number) =>
      eventually(() => expect(handled()).toBeGreaterThanOrEqual(count), { timeoutMs, intervalMs: 50 });

    await reach(warmUpCount);
    const afterWarmUp = memoryMiB();
    await reach(messageCount);
    const atTheEnd = memoryMiB();
    queue.runDry();
    const usedGrowth = atTheEnd.used - afterWarmUp.used;
    const residentGrowth = atTheEnd.resident - afterWarmUp.resident;
    report(startedAtMs, usedGrowth, residentGrowth);
    const stats = consumer.stats();
    await consumer.stop();

    expect(stats['timed-out']).toBeGreaterThan(messageCount / 2_000);
    expect(stats.retry).toBeGreaterThan(messageCount / 1_000);
    expect(stats['lease-lost']).toBe(0);
    expect(usedGrowth).toBeLessThan(8);
    // Buffers and sockets outside the heap, too; the allocator keeps some of what it was once given.
    expect(residentGrowth).toBeLessThan(128);
    expect(consumer.stats()).toMatchObject({ inFlight: 0, waiting: 0, settling: 0 });
  },
  timeoutMs + 30_000,
);
