import type { Kysely } from 'kysely';
import type { Database } from '../database/schema.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { type OutgoingMessage, type SendResult, sendMessages } from '../queue/producer.ts';
import { type QueueInfo, waitForQueue } from '../queue/provision.ts';
import { maxReceiveCountFor } from '../queue/queue-settings.ts';
import { createQueueClients } from '../queue/sqs.ts';
import { systemRandom } from '../runtime/clock.ts';
import type { ApiConfig } from './config.ts';
import { type QueueReport, readQueueReport } from './queue-report.ts';

/** The gifts queue as the API uses it. It may be away or missing: gifts are accepted all the same. */
export type SqsGateway = {
  send: (queue: string, messages: OutgoingMessage[]) => Promise<SendResult[]>;
  report: () => Promise<QueueReport>;
  stop: () => Promise<void>;
};

export function createSqsGateway(
  config: ApiConfig,
  deps: { db: Kysely<Database>; logger: Logger; metrics: Metrics; signal: AbortSignal },
): SqsGateway {
  const clients = createQueueClients({
    region: config.AWS_REGION,
    ...(config.AWS_ENDPOINT_URL_SQS === undefined ? {} : { endpoint: config.AWS_ENDPOINT_URL_SQS }),
    onRequest: (operation, { ok }) =>
      deps.metrics.sqsRequests.inc({ operation, outcome: ok ? 'success' : 'error' }),
  });
  const settings = giftsQueue(config);
  let queue: QueueInfo | undefined;
  const finding = findQueue().catch((error: unknown) => {
    // Ended by the shutdown; everything else is retried inside.
    if (!deps.signal.aborted) throw error;
  });
  async function findQueue(): Promise<void> {
    queue = await waitForQueue(clients, settings, {
      signal: deps.signal,
      random: systemRandom,
      onProblem: (error, nextTryMs) =>
        deps.logger.error('the queue can not be used', {
          event: 'queue_unusable',
          error,
          next_try_ms: nextTryMs,
        }),
    });
    deps.logger.info('queue found', { event: 'queue_found', queue: queue.name });
  }
  return {
    send: async (name, messages) => {
      if (name !== settings.name) return messages.map(() => unknownQueue);
      if (queue === undefined) return messages.map(() => notFoundYet);
      return await sendMessages(clients, queue.url, messages);
    },
    report: () =>
      readQueueReport(
        { db: deps.db, clients, queue: () => queue },
        { queue: settings.name, deadLetterQueue: settings.deadLetterName },
      ),
    stop: async () => {
      await finding;
      clients.destroy();
    },
  };
}

function giftsQueue(config: ApiConfig) {
  return {
    name: config.GIFTS_QUEUE_NAME,
    deadLetterName: `${config.GIFTS_QUEUE_NAME}-dlq`,
    visibilityTimeoutSeconds: config.VISIBILITY_TIMEOUT_SECONDS,
    maxReceiveCount: maxReceiveCountFor(config.MAX_RETRY_COUNT),
    mode: config.QUEUE_PROVISIONING,
  };
}

/** A row for a queue of another name was written under another configuration: a person has to decide. */
const unknownQueue: SendResult = { ok: false, reason: 'unknown_queue', retryable: false };
const notFoundYet: SendResult = { ok: false, reason: 'queue_not_found', retryable: true };
