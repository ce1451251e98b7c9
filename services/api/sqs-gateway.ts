import type { Kysely } from 'kysely';
import type { Database } from '../database/schema.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { isQueueMissing } from '../queue/failure-owner.ts';
import { type OutgoingMessage, type SendResult, sendMessages } from '../queue/producer.ts';
import { type EnsureQueueOptions, type QueueInfo, waitForQueue } from '../queue/provision.ts';
import { maxReceiveCountFor } from '../queue/queue-settings.ts';
import type { AbilityChange } from '../queue/send-abilities.ts';
import { createQueueClients, type QueueClients } from '../queue/sqs.ts';
import { systemRandom } from '../runtime/clock.ts';
import type { ApiConfig } from './config.ts';
import { type QueueReport, readQueueReport } from './queue-report.ts';
import { createSendWatch } from './send-watch.ts';

/** The gifts queue as the API uses it. It may be away or missing: gifts are accepted all the same. */
export type SqsGateway = {
  /** names of the queues that it sends to */
  queues: readonly string[];
  send: (queue: string, messages: OutgoingMessage[]) => Promise<SendResult[]>;
  report: () => Promise<QueueReport>;
  stop: () => Promise<void>;
};

export function createSqsGateway(
  config: Pick<ApiConfig, GatewayVariable>,
  deps: { db: Kysely<Database>; logger: Logger; metrics: Metrics; signal: AbortSignal },
): SqsGateway {
  const settings = giftsQueue(config);
  const clients = createQueueClients({
    region: config.AWS_REGION,
    ...(config.AWS_ENDPOINT_URL_SQS === undefined ? {} : { endpoint: config.AWS_ENDPOINT_URL_SQS }),
    onRequest: (operation, { ok }) =>
      deps.metrics.sqsRequests.inc({ operation, outcome: ok ? 'success' : 'error' }),
    onAbility: (change) => tellAbility(deps, settings.name, change),
  });
  const watch = createSendWatch(settings.name, deps);
  let queue: QueueInfo | undefined;
  let finding: Promise<void> | undefined;
  const find = () => {
    finding ??= findQueue(clients, settings, deps)
      .then((found) => {
        queue = found;
      })
      .finally(() => {
        finding = undefined;
      });
  };
  find();
  /** A queue that is gone is looked for again, and made where that is wanted. */
  const noteRefusal = (code: string) => {
    if (queue === undefined || !isQueueMissing(code)) return;
    queue = undefined;
    find();
  };
  return {
    queues: [settings.name],
    send: async (name, messages) => {
      if (name !== settings.name) return messages.map(() => unknownQueue);
      const results =
        queue === undefined
          ? messages.map(() => notFoundYet)
          : await sendMessages(clients, queue.url, messages);
      watch.note(results);
      for (const result of results) if (!result.ok) noteRefusal(result.reason);
      return results;
    },
    report: () =>
      readQueueReport(
        {
          db: deps.db,
          clients,
          queue: () => queue,
          refusal: watch.refusal,
          onRefusal: (error) => noteRefusal(error instanceof Error ? error.name : ''),
        },
        { queue: settings.name, deadLetterQueue: settings.deadLetterName },
      ),
    stop: async () => {
      await finding;
      clients.destroy();
    },
  };
}

type GatewayVariable =
  | 'AWS_REGION'
  | 'AWS_ENDPOINT_URL_SQS'
  | 'GIFTS_QUEUE_NAME'
  | 'VISIBILITY_TIMEOUT_SECONDS'
  | 'MAX_RETRY_COUNT'
  | 'QUEUE_PROVISIONING';

/** Undefined when the shutdown came first; everything else is tried again inside. */
async function findQueue(
  clients: QueueClients,
  settings: EnsureQueueOptions,
  { logger, signal }: { logger: Logger; signal: AbortSignal },
): Promise<QueueInfo | undefined> {
  try {
    const queue = await waitForQueue(clients, settings, {
      signal,
      random: systemRandom,
      onProblem: (error, nextTryMs) =>
        logger.error('the queue can not be used', { event: 'queue_unusable', error, next_try_ms: nextTryMs }),
    });
    logger.info('queue found', { event: 'queue_found', queue: queue.name });
    for (const limitation of queue.limitations) {
      logger.warn('the queue can not be verified in full', { event: 'queue_limitation', limitation });
    }
    return queue;
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

/** Without them the role goes on with less: no fair shares between senders, no trace through the queue. */
function tellAbility(
  { logger, metrics }: { logger: Logger; metrics: Metrics },
  queue: string,
  { extra, able }: AbilityChange,
): void {
  metrics.queueCapability.set({ queue, capability: extra }, able ? 1 : 0);
  if (able)
    logger.info('the queue takes them', { event: 'queue_capability', queue, capability: extra, able });
  else {
    logger.warn('the queue does not take them; messages go without', {
      event: 'queue_capability',
      queue,
      capability: extra,
      able,
    });
  }
}

function giftsQueue(config: Pick<ApiConfig, GatewayVariable>): EnsureQueueOptions {
  return {
    name: config.GIFTS_QUEUE_NAME,
    deadLetterName: `${config.GIFTS_QUEUE_NAME}-dlq`,
    visibilityTimeoutSeconds: config.VISIBILITY_TIMEOUT_SECONDS,
    maxReceiveCount: maxReceiveCountFor(config.MAX_RETRY_COUNT),
    mode: config.QUEUE_PROVISIONING,
  };
}

/** A row for a queue of another name is written by another release or configuration, and left for those who know it. */
const unknownQueue: SendResult = { ok: false, reason: 'unknown_queue', retryable: true };
const notFoundYet: SendResult = { ok: false, reason: 'queue_not_found', retryable: true };
