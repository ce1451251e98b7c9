/**
 * Gifts per second from `POST /v1/gifts` to the mail server's yes, and what they cost: SQS requests per gift, memory.
 *
 *   node test/bench/end-to-end.ts
 */
import { setTimeout as wait } from 'node:timers/promises';
import { createDatabase } from '../../services/database/client.ts';
import { sendGifts } from './send-gifts.ts';
import { startWholeSystem, type WholeSystem } from './whole-system.ts';

export async function run({ gifts = 5_000, connections = 32 } = {}): Promise<void> {
  const system = await startWholeSystem({ maxInFlight: 100 });
  try {
    await giveAll(system, 300, connections, 'warm-up');
    await delivered(system, 300);
    const before = await counts(system);
    const startedAt = performance.now();
    await giveAll(system, gifts, connections, 'measured');
    const acceptedMs = performance.now() - startedAt;
    await delivered(system, 300 + gifts);
    const deliveredMs = performance.now() - startedAt;
    // What is settled last is still on its way to a batched delete.
    await wait(1_000);
    const after = await counts(system);
    const operations = [...after.requests].map(
      ([operation, requests]) => [operation, requests - (before.requests.get(operation) ?? 0)] as const,
    );
    const perGift = (requests: number) => Number((requests / gifts).toFixed(3));
    console.table({
      'gifts accepted and delivered': gifts,
      'accepted per second': Math.round((gifts / acceptedMs) * 1_000),
      'delivered per second, end to end': Math.round((gifts / deliveredMs) * 1_000),
      'SQS requests per gift': perGift(operations.reduce((sum, [, requests]) => sum + requests, 0)),
      ...Object.fromEntries(operations.map(([operation, requests]) => [`  ${operation}`, perGift(requests)])),
      'api resident memory, MiB': after.apiMiB,
      'consumer resident memory, MiB': after.consumerMiB,
    });
  } finally {
    await system.stop();
  }
}

async function giveAll(
  { apiUrl, key }: WholeSystem,
  gifts: number,
  connections: number,
  series: string,
): Promise<void> {
  const posts = Array.from({ length: gifts }, (_, i) => ({
    apiKey: key,
    idempotencyKey: `${series}-${i}`,
    body: {
      value: { amount: 100, currency: 'EUR' },
      recipient: { type: 'email', email: `${series}-${i}@example.com` },
    },
  }));
  await sendGifts(apiUrl, connections, posts);
}

async function delivered(system: WholeSystem, expected: number): Promise<void> {
  const { db } = createDatabase({
    connectionString: system.databaseUrl,
    poolMax: 1,
    applicationName: 'largesse-bench',
  });
  try {
    for (;;) {
      const { count } = await db
        .selectFrom('gifts')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('state', '=', 'delivered')
        .executeTakeFirstOrThrow();
      if (count >= expected) return;
      await wait(50);
    }
  } finally {
    await db.destroy();
  }
}

type Counts = { requests: Map<string, number>; apiMiB: number; consumerMiB: number };

async function counts(system: WholeSystem): Promise<Counts> {
  const [api, consumer] = await Promise.all([system.metrics('api'), system.metrics('consumer')]);
  const resident = (text: string) => {
    const [bytes = 0] = samplesOf(text, 'process_resident_memory_bytes').map(({ value }) => value);
    return Math.round(bytes / 2 ** 20);
  };
  const requests = new Map<string, number>();
  for (const { labels, value } of samplesOf(`${api}\n${consumer}`, 'largesse_sqs_requests_total')) {
    const operation = /operation="(\w+)"/.exec(labels)?.[1] ?? 'unknown';
    // Asked for by our own scrapes, not by gifts.
    if (operation !== 'GetQueueAttributes') requests.set(operation, (requests.get(operation) ?? 0) + value);
  }
  return { requests, apiMiB: resident(api), consumerMiB: resident(consumer) };
}

function samplesOf(text: string, metric: string): { labels: string; value: number }[] {
  const lines = text
    .split('\n')
    .filter((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `));
  return lines.map((line) => {
    const end = line.lastIndexOf(' ');
    return { labels: line.slice(metric.length, end), value: Number(line.slice(end + 1)) };
  });
}

if (import.meta.main) await run();
