import type { DatabaseClient } from '../database/client.ts';
import type { Keyring } from '../domain/recipients/keyring.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { QueueInfo } from '../queue/provision.ts';
import { QueueConsumer } from '../queue/queue-consumer.ts';
import type { QueueHealth } from '../queue/queue-health.ts';
import type { QueueClients } from '../queue/sqs.ts';
import { createClaims } from './claims.ts';
import type { ConsumerConfig } from './config.ts';
import { createHandler } from './handle-message.ts';
import { createMailer } from './mailer.ts';
import { createQueueObserver } from './queue-telemetry.ts';
import { createReport, settleWaits } from './report.ts';
import { createSettle } from './settle.ts';

export type GiftsConsumerDeps = {
  config: ConsumerConfig;
  database: DatabaseClient;
  clients: QueueClients;
  queue: QueueInfo;
  keyring: Keyring;
  metrics: Metrics;
  log: Logger;
  /** aborted when the process is asked to stop */
  stopping: AbortSignal;
  clock: () => Date;
  random: () => number;
};

export type GiftsConsumer = {
  start: () => void;
  /** Resolves when every message is settled or released and every outcome is recorded. */
  stop: () => Promise<void>;
  health: () => QueueHealth;
  inFlight: () => number;
};

/** The consumer of the gifts queue, wired and not started. Database, clients and log stay their owner's to close. */
export function buildGiftsConsumer(deps: GiftsConsumerDeps): GiftsConsumer {
  const { config, metrics, log, random, clock } = deps;
  const { db } = deps.database;
  const maxSize = config.MAX_IN_FLIGHT;
  const leaseSeconds = config.LEASE_SECONDS;
  const claims = createClaims({ db, keyring: deps.keyring, leaseSeconds }, { maxSize });
  // A few milliseconds gather the mails that end together, which is nothing beside a mail.
  const settle = createSettle(
    { db, random, onWait: settleWaits({ metrics, log }) },
    { maxSize, maxDelayMs: 5 },
  );
  const mailer = createMailer({
    url: config.SMTP_URL,
    from: config.MAIL_FROM,
    maxConnections: config.SMTP_MAX_CONNECTIONS,
    timeoutMs: config.mailTimeoutMs,
  });
  const consumer = new QueueConsumer({
    clients: deps.clients,
    queue: deps.queue,
    observer: createQueueObserver({ metrics, log }, deps.queue.name),
    maxInFlight: config.MAX_IN_FLIGHT,
    waitTimeSeconds: config.waitTimeSeconds,
    handlerTimeoutMs: config.handlerTimeoutMs,
    abortGraceMs: config.abortGraceMs,
    graceMs: config.consumerGraceMs,
    random,
    handler: createHandler({
      claims,
      settle,
      mailer,
      leaseSeconds,
      clock,
      keyring: deps.keyring,
      publicUrl: config.PUBLIC_URL,
      mailFrom: config.MAIL_FROM,
      mailTimeoutMs: config.mailTimeoutMs,
      stopping: deps.stopping,
      retry: {
        maxRetryCount: config.MAX_RETRY_COUNT,
        baseMs: config.RETRY_BASE_MS,
        capMs: config.RETRY_CAP_MS,
        random,
      },
      onMail: (outcome) => metrics.mailsSent.inc({ outcome }),
      report: createReport({ metrics, log }),
    }),
  });
  return {
    start: () => consumer.start(),
    health: () => consumer.health(),
    inFlight: () => consumer.stats().inFlight,
    stop: async () => {
      await consumer.stop();
      await Promise.all([claims.close(), settle.close()]);
      mailer.close();
    },
  };
}
