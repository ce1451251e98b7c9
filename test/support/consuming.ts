import type { QueueConsumerOptions } from '../../services/queue/consumer-options.ts';
import type { QueueMessage } from '../../services/queue/message.ts';
import { QueueConsumer } from '../../services/queue/queue-consumer.ts';
import type { QueueObserver } from '../../services/queue/queue-observer.ts';
import type { QueueClients } from '../../services/queue/sqs.ts';
import { type Emulator, type QueueContents, startEmulator } from './emulator.ts';
import type { FaultProxy } from './fault-proxy.ts';
import { callSqs, type QueuePair, type QueuePairOptions } from './queue-pair.ts';
import { behindProxy } from './sqs-under-test.ts';

type Events = {
  [K in keyof QueueObserver]-?: Parameters<NonNullable<QueueObserver[K]>>[0][];
};

export interface Consuming {
  consumer: QueueConsumer;
  /** Everything that the observer was told. */
  events: Events;
  queue: QueuePair;
  proxy: FaultProxy;
  clients: QueueClients;
  send(bodies: readonly string[]): Promise<void>;
  contents(): Promise<QueueContents>;
  deadLetters(): Promise<QueueContents>;
}

export interface ConsumingOptions extends Partial<Omit<QueueConsumerOptions, 'clients' | 'queue'>> {
  handler: QueueConsumerOptions['handler'];
  pair?: QueuePairOptions;
  /** Consume this queue, as another replica would, instead of a new one. */
  sharing?: QueuePair;
  maxSockets?: number;
  /** Wires the consumer otherwise than the product does. */
  rewire?: (clients: QueueClients) => QueueClients;
}

export interface ConsumerStage {
  consume(options: ConsumingOptions): Promise<Consuming>;
  /** Stops every consumer, then closes every proxy: after each test. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

/** One emulator per test file; per test a queue pair of its own behind a fault proxy of its own. */
export async function startConsumerStage(): Promise<ConsumerStage> {
  const emulator = await startEmulator();
  const cleanUps: (() => Promise<unknown>)[] = [];

  async function consume(given: ConsumingOptions): Promise<Consuming> {
    const { pair, sharing, maxSockets, rewire = (same) => same, ...options } = given;
    const queue = sharing ?? (await emulator.createQueuePair({ maxReceiveCount: 100, ...pair }));
    const behind = await behindProxy(emulator, maxSockets === undefined ? {} : { maxSockets });
    const { proxy, close } = behind;
    const clients = rewire(behind.clients);
    const { observer, events } = recordingObserver();
    const consumer = new QueueConsumer({
      clients,
      queue: { ...queue, visibilityTimeoutSeconds: pair?.visibilityTimeoutSeconds ?? 30 },
      waitTimeSeconds: 1,
      graceMs: 4_000,
      settleDelayMs: 50,
      observer,
      ...options,
    });
    cleanUps.push(async () => {
      proxy.heal();
      await consumer.stop();
      await close();
    });
    return {
      consumer,
      events,
      queue,
      proxy,
      clients,
      send: (bodies) => sendAll(emulator, queue.url, bodies),
      contents: () => emulator.inspect(queue.name),
      deadLetters: () => emulator.inspect(queue.deadLetterName),
    };
  }

  return {
    consume,
    async clear() {
      await Promise.all(cleanUps.splice(0).map((cleanUp) => cleanUp()));
    },
    stop: () => emulator.stop(),
  };
}

/** Messages by name, one per number: `m0`, `m1`, … */
export function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `m${index}`);
}

/** A promise that a test opens, for handlers that must wait until something else has happened. */
export function gate(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

export const bodiesOf = (events: readonly { message: QueueMessage }[]) =>
  events.map((event) => event.message.body).sort();

function recordingObserver(): { observer: QueueObserver; events: Events } {
  const events: Events = {
    received: [],
    handled: [],
    settled: [],
    leaseLost: [],
    leaseError: [],
    timedOut: [],
    starved: [],
    longPolling: [],
    loopError: [],
  };
  const names = Object.keys(events) as (keyof QueueObserver)[];
  const observer = Object.fromEntries(
    names.map((name) => [name, (event: never) => events[name].push(event)]),
  ) as QueueObserver;
  return { observer, events };
}

async function sendAll(emulator: Emulator, queueUrl: string, bodies: readonly string[]): Promise<void> {
  for (let from = 0; from < bodies.length; from += 10) {
    const entries = bodies
      .slice(from, from + 10)
      .map((body, index) => ({ Id: String(index), MessageBody: body }));
    await callSqs(emulator, 'SendMessageBatch', { QueueUrl: queueUrl, Entries: entries });
  }
}
