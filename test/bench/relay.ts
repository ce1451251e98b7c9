import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Registry } from 'prom-client';
import { Relay } from '../../services/api/relay.ts';
import { createDatabase, type DatabaseClient } from '../../services/database/client.ts';
import { migrate } from '../../services/database/migrate.ts';
import { createLogger } from '../../services/observability/logger.ts';
import { createMetrics } from '../../services/observability/metrics.ts';
import { sendMessages } from '../../services/queue/producer.ts';
import { createQueueClients, type QueueClients } from '../../services/queue/sqs.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { createQueuePair } from '../support/queue-pair.ts';
import { endChild } from './end-child.ts';

export interface RelayBenchRow {
  what: string;
  queue: string;
  events: number;
  eventsPerSecond: number;
}

type Target = { clients: QueueClients; queueUrl: string; name: string };

/**
 * Outbox rows drained (claimed, sent, deleted, each step durable) beside what the receiving side takes from a loop that
 * only sends: an emulator, and a server that confirms whatever it gets, which shows the relay's own ceiling.
 */
export async function run({ events = 20_000 } = {}): Promise<RelayBenchRow[]> {
  const postgres = await startPostgres();
  const emulator = fork(new URL('./emulator-process.ts', import.meta.url));
  const confirming = fork(new URL('./endless-queue-process.ts', import.meta.url));
  const client = createDatabase({ connectionString: postgres.url, poolMax: 8, applicationName: 'bench' });
  try {
    await migrate(client.db);
    const targets = [await emulated(emulator), await confirmed(confirming)];
    const rows: RelayBenchRow[] = [];
    for (const target of targets) {
      await sendOnly(target, 2_000);
      rows.push(toRow('SendMessageBatch loop', target, events, await sendOnly(target, events)));
      rows.push(toRow('relay', target, events, await drain(client, target, events)));
      target.clients.destroy();
    }
    return rows;
  } finally {
    await client.db.destroy();
    for (const child of [emulator, confirming]) await endChild(child);
    await postgres.stop();
  }
}

const body = JSON.stringify({
  type: 'gift.deliver',
  version: 1,
  id: 'gft_01k3v5j8y6e4q9s7w2x0z1a2b3',
  occurred_at: '2026-11-21T00:00:00.000Z',
  attempt_hint: 0,
  request_id: '3fb9f0a0-8063-4ba0-95a4-63b76bc6dcae',
});

/** @returns seconds */
async function sendOnly({ clients, queueUrl }: Target, events: number): Promise<number> {
  const messages = Array.from({ length: events }, () => ({ body }));
  const startedAt = performance.now();
  const results = await sendMessages(clients, queueUrl, messages, { concurrency: 24 });
  if (results.some(({ ok }) => !ok)) throw new Error('not everything was sent');
  return (performance.now() - startedAt) / 1_000;
}

/** @returns seconds */
async function drain({ db, pool }: DatabaseClient, target: Target, events: number): Promise<number> {
  await pool.query(
    `insert into outbox (queue, body, group_id, available_at)
     select 'gifts', $2, 'sen_01k3v5j8y6e4q9s7w2x0z1a2b3', clock_timestamp() from generate_series(1, $1)`,
    [events, body],
  );
  await pool.query('vacuum analyze outbox');
  const logger = createLogger({ service: 'bench', level: 'error' });
  const metrics = createMetrics(new Registry(), { processMetrics: false });
  const relay = new Relay({
    db,
    logger,
    metrics,
    random: Math.random,
    queues: ['gifts'],
    send: (_queue, messages) => sendMessages(target.clients, target.queueUrl, messages),
  });
  const startedAt = performance.now();
  relay.start();
  for (;;) {
    const { rows } = await pool.query('select exists (select from outbox) as more');
    if (!rows[0].more) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  await relay.stop();
  return seconds;
}

async function emulated(child: ChildProcess): Promise<Target> {
  const [sqs] = (await once(child, 'message')) as [{ endpoint: string; region: string }];
  const queue = await createQueuePair(sqs);
  const credentials = { accessKeyId: 'bench', secretAccessKey: 'bench' };
  return { clients: createQueueClients({ ...sqs, credentials }), queueUrl: queue.url, name: 'emulator' };
}

async function confirmed(child: ChildProcess): Promise<Target> {
  const [{ endpoint, url }] = (await once(child, 'message')) as [{ endpoint: string; url: string }];
  const credentials = { accessKeyId: 'bench', secretAccessKey: 'bench' };
  const clients = createQueueClients({ endpoint, region: 'eu-central-1', credentials });
  return { clients, queueUrl: url, name: 'confirms all' };
}

function toRow(what: string, target: Target, events: number, seconds: number): RelayBenchRow {
  return { what, queue: target.name, events, eventsPerSecond: Math.round(events / seconds) };
}

if (import.meta.main) console.table(await run());
