import type { Counter, Gauge, Histogram } from 'prom-client';

type Makers = {
  counter: <L extends string>(name: string, help: string, labels: readonly L[]) => Counter<L>;
  gauge: (name: string, help: string) => Gauge;
  histogram: <L extends string>(
    name: string,
    help: string,
    labels: readonly L[],
    buckets: readonly number[],
  ) => Histogram<L>;
};

/** Seconds. Accepts are to stay below 50 ms, mails take up to their time-out of half a minute. */
export const WORK_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Seconds. 300 is what the objective of deliveries asks for (charts/largesse/files/rules/slo.yaml). */
const DELIVERY_BUCKETS = [1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400];

/** What becomes of gifts and their mails, made by the makers of `metrics.ts`. */
export function giftMetrics({ counter, gauge, histogram }: Makers) {
  return {
    giftsProcessed: counter('gifts_processed_total', 'Gifts whose message was brought to its end.', [
      'outcome',
    ]),
    giftsFailed: counter('gifts_failed_total', 'Attempts that failed, by error class.', ['class']),
    giftsRetried: counter('gifts_retried_total', 'Attempts that are tried again later, by error class.', [
      'class',
    ]),
    giftsDeadLettered: counter(
      'gifts_dead_lettered_total',
      'Gifts sent to the dead-letter queue, by class.',
      ['class'],
    ),
    giftProcessingSeconds: histogram(
      'gift_processing_seconds',
      'Time from the start of handling a message to its outcome.',
      ['outcome'],
      WORK_BUCKETS,
    ),
    giftDeliverySeconds: histogram(
      'gift_delivery_seconds',
      'From when a gift was due (accepted, or to be delivered) until it was delivered, or counted as that.',
      [],
      DELIVERY_BUCKETS,
    ),
    giftsLate: gauge(
      'gifts_late',
      'Gifts that were due five minutes ago or earlier and are not delivered, dead-lettered ones included, up to ten thousand.',
    ),
    mailsSent: counter('mails_sent_total', 'Attempts to send a mail, by outcome.', ['outcome']),
    /** `fault`: row, suspect, busy, session, away, foreign. */
    settleRetries: counter(
      'settle_retries_total',
      'Tries to record an outcome that had to be repeated, by what the database said.',
      ['fault'],
    ),
  };
}
