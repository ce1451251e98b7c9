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
const timeoutMs = 60_000 + messageCount / 2;
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

function usedMiB(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / mebibyte;
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
        visibilityTimeoutSeconds: 2,
      },
      maxInFlight: 100,
      waitTimeSeconds: 1,
      handlerTimeoutMs: 1_500,
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
    consumer.start();
    const handled = () => {
      const { done: ok, retry, 'dead-letter': dead, 'timed-out': timedOut } = consumer.stats();
      return ok + retry + dead + timedOut;
    };
    const reach = (count: number) =>
      eventually(() => expect(handled()).toBeGreaterThanOrEqual(count), { timeoutMs, intervalMs: 50 });

    await reach(messageCount / 3);
    const afterWarmUp = usedMiB();
    await reach(messageCount);
    const atTheEnd = usedMiB();
    queue.runDry();
    const stats = consumer.stats();
    await consumer.stop();

    expect(stats['timed-out']).toBeGreaterThan(messageCount / 2_000);
    expect(stats.retry).toBeGreaterThan(messageCount / 1_000);
    expect(stats['lease-lost']).toBe(0);
    expect(atTheEnd - afterWarmUp).toBeLessThan(8);
    expect(consumer.stats()).toMatchObject({ inFlight: 0, waiting: 0, settling: 0 });
  },
  timeoutMs + 30_000,
);
