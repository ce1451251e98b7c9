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
import { createDepartures } from './departures.ts';
import { createHandler } from './handle-message.ts';
import { createLeaseRenewal } from './lease-renewal.ts';
import { MailBreaker } from './mail-breaker.ts';
import { createMailer } from './mailer.ts';
import { watchForMissingQueue } from './missing-queue.ts';
import { createPauseReport } from './pause-report.ts';
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
  /** looks for a queue that is gone, as at the start */
  findQueueAgain?: () => Promise<unknown>;
  /** aborted when the process is asked to stop */
  stopping: AbortSignal;
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
  const { config, metrics, log, random } = deps;
  const parts = createParts(deps);
  const onRefusal = deps.findQueueAgain && watchForMissingQueue(deps.findQueueAgain, log);
  const { claims, departures, settle, leases, pauses, breaker, mailer } = parts;
  const consumer = new QueueConsumer({
    clients: deps.clients,
    queue: deps.queue,
    observer: createQueueObserver({ metrics, log }, deps.queue.name, onRefusal),
    maxInFlight: config.MAX_IN_FLIGHT,
    waitTimeSeconds: config.waitTimeSeconds,
    handlerTimeoutMs: config.handlerTimeoutMs,
    abortGraceMs: config.abortGraceMs,
    graceMs: config.consumerGraceMs,
    random,
    admission: breaker.admission,
    handler: createHandler({
      ...parts,
      keyring: deps.keyring,
      leaseSeconds: config.LEASE_SECONDS,
      publicUrl: config.PUBLIC_URL,
      mailFrom: config.MAIL_FROM,
      connectionWaitMs: config.connectionWaitMs,
      stopping: deps.stopping,
      retry: { ...config.retry, random },
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
      await Promise.all([claims.close(), departures.close(), settle.close(), leases.close(), pauses.close()]);
      mailer.close();
    },
  };
}

/** What handling a message takes, of which some has to be closed after the last one. */
function createParts({ config, database: { db }, queue, keyring, metrics, log, random }: GiftsConsumerDeps) {
  const maxSize = config.MAX_IN_FLIGHT;
  const leaseSeconds = config.LEASE_SECONDS;
  const pauses = createPauseReport({ db, metrics, log }, queue.name);
  const onError = (error: unknown) =>
    log.warn('leases were not renewed', { event: 'lease_not_renewed', error });
  return {
    claims: createClaims({ db, keyring, leaseSeconds }, { maxSize }),
    departures: createDepartures(
      // Well before the mail server's patience, which begins when it has said yes to DATA.
      { db, random, waitMs: Math.min(10_000, config.smtpTimes.content / 2) },
      { maxSize, maxDelayMs: 2 },
    ),
    // A few milliseconds gather the mails that end together, which is nothing beside a mail.
    settle: createSettle({ db, random, onWait: settleWaits({ metrics, log }) }, { maxSize, maxDelayMs: 5 }),
    leases: createLeaseRenewal({ db, leaseSeconds, onError }, { maxSize }),
    pauses,
    breaker: new MailBreaker({
      nowMs: () => performance.now(),
      random,
      pauses: config.MAIL_PAUSE,
      onPause: pauses.onPause,
      onResume: pauses.onResume,
    }),
    mailer: createMailer({
      server: config.SMTP_URL,
      from: config.MAIL_FROM,
      maxConnections: config.SMTP_MAX_CONNECTIONS,
      times: config.smtpTimes,
    }),
  };
}
