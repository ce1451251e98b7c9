import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { HandledEvent, QueueObserver } from '../queue/queue-observer.ts';

/** What the queue runtime tells, as metrics, and as log lines where somebody may have to act. */
export function createQueueObserver(
  { metrics, log }: { metrics: Metrics; log: Logger },
  queue: string,
  /** told of what SQS refuses: it may be that the queue is gone */
  onRefusal: (error: unknown) => void = () => undefined,
): QueueObserver {
  startCounting(metrics, queue);
  const idsOf = (message: { messageId: string; receiveCount: number }) => ({
    message_id: message.messageId,
    receive_count: message.receiveCount,
  });
  return {
    received: ({ messages }) => {
      metrics.messagesReceived.inc({ queue }, messages.length);
      metrics.queueStarved.set({ queue }, 0);
      for (const { sentAt } of messages) {
        metrics.messageAgeSeconds.observe({ queue }, Math.max(0, Date.now() - sentAt.getTime()) / 1_000);
      }
    },
    handled: ({ outcome }) => metrics.messagesSettled.inc({ queue, outcome }),
    settled: ({ message, action, error }) => {
      if (error === undefined) return;
      log.warn('the queue did not confirm', { event: 'settle_failed', action, error, ...idsOf(message) });
      onRefusal(error);
    },
    leaseLost: ({ message, reason }) => {
      metrics.leasesLost.inc({ queue });
      log.warn('the lease on a message is lost', { event: 'lease_lost', reason, ...idsOf(message) });
    },
    leaseError: ({ message, code, error }) =>
      log.warn('a lease was not extended', { event: 'lease_error', code, error, ...idsOf(message) }),
    timedOut: ({ message, handlerTimeoutMs }) => {
      metrics.handlerTimeouts.inc({ queue });
      log.warn('a handler outlived its deadline', {
        event: 'handler_timed_out',
        handler_timeout_ms: handlerTimeoutMs,
        ...idsOf(message),
      });
    },
    starved: ({ visible, inFlight, emptyReceives }) => {
      metrics.queueStarved.set({ queue }, 1);
      log.error('the queue has messages and gives none', {
        event: 'queue_starved',
        marker: '[MONITOR]',
        visible,
        in_flight: inFlight,
        empty_receives: emptyReceives,
      });
    },
    longPolling: ({ honoured }) => {
      metrics.queueCapability.set({ queue, capability: 'long_polling' }, honoured ? 1 : 0);
      if (honoured) return;
      log.warn('empty receives are answered at once; they are paced', {
        event: 'queue_capability',
        queue,
        capability: 'long_polling',
        able: false,
      });
    },
    loopError: ({ error, consecutiveFailures, pauseMs }) => {
      log.warn('the queue could not be polled', {
        event: 'receive_failed',
        error,
        consecutive_failures: consecutiveFailures,
        pause_ms: pauseMs,
      });
      onRefusal(error);
    },
  };
}

const outcomes = [
  'done',
  'retry',
  'dead-letter',
  'timed-out',
  'lease-lost',
  'released',
] as const satisfies HandledEvent['outcome'][];

/** At 0: a counter that appears with its first event tells no rate of it. */
function startCounting(metrics: Metrics, queue: string): void {
  for (const counter of [metrics.messagesReceived, metrics.leasesLost, metrics.handlerTimeouts]) {
    counter.inc({ queue }, 0);
  }
  for (const outcome of outcomes) metrics.messagesSettled.inc({ queue, outcome }, 0);
  metrics.queueStarved.set({ queue }, 0);
}
