import { Writable } from 'node:stream';

import { type ConsumerConfig, readConfig } from '../../../services/consumer/config.ts';
import { buildGiftsConsumer, type GiftsConsumer } from '../../../services/consumer/gifts-consumer.ts';
import type { DatabaseClient } from '../../../services/database/client.ts';
import type { OutboxRow } from '../../../services/domain/gifts/accept-gifts.ts';
import type { OutboxWriter } from '../../../services/domain/outbox.ts';
import { createLogger } from '../../../services/observability/logger.ts';
import { createMetrics, type Metrics } from '../../../services/observability/metrics.ts';
import { encodeEnvelope } from '../../../services/queue/envelope.ts';
import { sendMessages } from '../../../services/queue/producer.ts';
import { ensureQueue, type QueueInfo } from '../../../services/queue/provision.ts';
import { createQueueClients, type QueueClients } from '../../../services/queue/sqs.ts';
import { keyring } from '../../support/gifts.ts';
import { uniqueQueueName } from '../../support/queue-pair.ts';

export const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };

export const testQueueClients = (endpoint: string): QueueClients =>
  createQueueClients({ endpoint, region: 'eu-central-1', credentials });

/** Messages as the API writes them. */
export const envelopes: OutboxWriter = {
  leaseSeconds: 60,
  row: (message, { groupId, requestId }) => ({
    queue: 'gifts',
    body: encodeEnvelope({
      ...message,
      occurred_at: new Date().toISOString(),
      attempt_hint: 0,
      ...(requestId === null ? {} : { request_id: requestId }),
    }),
    group_id: groupId,
    trace_header: null,
  }),
};

export type LogLine = Record<string, unknown> & { msg: string; level: string };

export type TestedConsumer = GiftsConsumer & {
  config: ConsumerConfig;
  metrics: Metrics;
  /** Every line logged until now. */
  lines: () => LogLine[];
  /** As SIGTERM does: aborts, drains, closes. */
  shutDown: () => Promise<void>;
};

export type ConsumerSettings = {
  database: DatabaseClient;
  endpoint: string;
  queue: QueueInfo;
  smtpUrl: string;
  env?: Record<string, string>;
  random?: () => number;
};

/** The whole consumer in this process, wired as `main.ts` does it, with pauses short enough for a test. */
export function startConsumer(settings: ConsumerSettings): TestedConsumer {
  const config = readConfig({
    DATABASE_URL: 'postgres://localhost/unused',
    AWS_REGION: 'eu-central-1',
    KEYRING_FILE: 'unused',
    PUBLIC_URL: 'https://gifts.example.com',
    SMTP_URL: settings.smtpUrl,
    MAIL_FROM: 'Gifts <gifts@mail.example.com>',
    VISIBILITY_TIMEOUT_SECONDS: String(settings.queue.visibilityTimeoutSeconds),
    LEASE_SECONDS: '5',
    SMTP_COMMAND_TIMEOUT_SECONDS: '4',
    RETRY_BASE_MS: '1',
    RETRY_CAP_MS: '1',
    SHUTDOWN_GRACE_SECONDS: '3',
    ...settings.env,
  });
  const sink = captureLog();
  const metrics = createMetrics(undefined, { processMetrics: false });
  const stopping = new AbortController();
  const clients = testQueueClients(settings.endpoint);
  const consumer = buildGiftsConsumer({
    config,
    metrics,
    clients,
    keyring,
    database: settings.database,
    queue: settings.queue,
    log: createLogger({ service: 'consumer', format: 'json', level: 'debug', stream: sink.stream }),
    stopping: stopping.signal,
    random: settings.random ?? Math.random,
  });
  consumer.start();
  const shutDown = async () => {
    stopping.abort();
    await consumer.stop();
    clients.destroy();
  };
  return { ...consumer, config, metrics, lines: sink.lines, shutDown };
}

/** A queue and its dead-letter queue of their own, made by our own provisioning. */
export async function createQueue(
  endpoint: string,
  { visibilityTimeoutSeconds = 6, maxReceiveCount = 20 } = {},
): Promise<QueueInfo> {
  const clients = testQueueClients(endpoint);
  const name = uniqueQueueName('gifts');
  try {
    return await ensureQueue(clients, {
      name,
      deadLetterName: `${name}-dlq`,
      visibilityTimeoutSeconds,
      maxReceiveCount,
      mode: 'create',
    });
  } finally {
    clients.destroy();
  }
}

/** What the relay does with the outbox rows of an accept. */
export async function publish(
  clients: QueueClients,
  queue: Pick<QueueInfo, 'url'>,
  rows: Pick<OutboxRow, 'body'>[],
): Promise<void> {
  const results = await sendMessages(
    clients,
    queue.url,
    rows.map(({ body }) => ({ body })),
  );
  const failed = results.find((result) => !result.ok);
  if (failed) throw new Error('the test could not send its messages', { cause: failed });
}

export async function metricValue(
  metrics: Metrics,
  name: string,
  labels: Record<string, string> = {},
): Promise<number> {
  const metric = (await metrics.registry.getMetricsAsJSON()).find(
    (found) => found.name === `largesse_${name}`,
  );
  const matching = (metric?.values ?? []).filter((value) =>
    Object.entries(labels).every(([key, wanted]) => value.labels[key as never] === wanted),
  );
  return matching.reduce((sum, { value }) => sum + value, 0);
}

function captureLog(): { stream: Writable; lines: () => LogLine[] } {
  const chunks: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk));
      done();
    },
  });
  const lines = () =>
    chunks
      .join('')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as LogLine);
  return { stream, lines };
}
