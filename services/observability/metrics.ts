import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { acceptMetrics } from './accept-metrics.ts';
import { databaseMetrics } from './database-metrics.ts';
import { giftMetrics, WORK_BUCKETS } from './gift-metrics.ts';
import { scraping } from './scraping.ts';
import { startAtZero } from './start-at-zero.ts';

export type Metrics = ReturnType<typeof createMetrics>;

export interface MetricsOptions {
  /** The `service` label of every sample: api, consumer, reconciler. */
  readonly service?: string;
  /** CPU, memory, event-loop lag, garbage collection. On by default. */
  readonly processMetrics?: boolean;
}

/**
 * All metrics of Largesse. Labels take values from closed sets only (classes, queues, routes as patterns, never ids,
 * addresses or raw paths), so that the number of series stays bounded whatever clients send.
 */
export function createMetrics(registry = new Registry(), options: MetricsOptions = {}) {
  if (options.service !== undefined) registry.setDefaultLabels({ service: options.service });
  if (options.processMetrics ?? true) collectDefaultMetrics({ register: registry });
  const make = makers(registry);
  const metrics = {
    registry,
    ...giftMetrics(make),
    ...acceptMetrics(make),
    ...queueMetrics(make),
    ...reconcilerMetrics(make),
    ...serviceMetrics(make),
    ...ledgerMetrics(make),
    ...databaseMetrics(make),
    ...scraping(
      registry,
      make.counter('metrics_collect_failures_total', 'Gauges that could not be read for a scrape.'),
    ),
  };
  startAtZero(metrics, options.service);
  return metrics;
}

type Makers = ReturnType<typeof makers>;

function makers(registry: Registry) {
  const config = <L extends string>(name: string, help: string, labelNames: readonly L[]) => ({
    name: `largesse_${name}`,
    help,
    labelNames: [...labelNames],
    registers: [registry],
  });
  return {
    counter: <L extends string = never>(name: string, help: string, labels: readonly L[] = []) =>
      new Counter<L>(config(name, help, labels)),
    gauge: <L extends string = never>(name: string, help: string, labels: readonly L[] = []) => {
      const gauge = new Gauge<L>(config(name, help, labels));
      // Without labels it would stand at 0 from the start, also in processes that never set it: an alert would believe it.
      if (labels.length === 0) gauge.remove();
      return gauge;
    },
    histogram: <L extends string = never>(
      name: string,
      help: string,
      labels: readonly L[],
      buckets: readonly number[],
    ) => new Histogram<L>({ ...config(name, help, labels), buckets: [...buckets] }),
  };
}

/** Seconds that a message may be old: from at once to the four days after which SQS drops it. */
const AGE_BUCKETS = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400, 345_600];

function queueMetrics({ counter, gauge, histogram }: Makers) {
  return {
    messageAgeSeconds: histogram(
      'message_age_seconds',
      'Age of messages when received.',
      ['queue'],
      AGE_BUCKETS,
    ),
    messagesReceived: counter('messages_received_total', 'Messages received.', ['queue']),
    messagesSettled: counter('messages_settled_total', 'Messages settled, by outcome.', ['queue', 'outcome']),
    sqsRequests: counter(
      'sqs_requests_total',
      'Requests to SQS; over messages settled: requests per message.',
      ['operation', 'outcome'],
    ),
    /** `state`: visible, in_flight, delayed. Each dead-letter queue is a queue of its own. */
    queueDepth: gauge('queue_depth_messages', 'Messages in a queue (approximate).', ['queue', 'state']),
    oldestMessageSeconds: gauge(
      'oldest_message_seconds',
      'For how long somebody has waited whose message is in the queue; 0 when nobody does.',
      ['queue'],
    ),
    queueStarved: gauge('queue_starved', '1 while receives come back empty although messages are visible.', [
      'queue',
    ]),
    queuePaused: gauge(
      'queue_paused',
      '1 while this process consumes nothing because every mail would fail.',
      ['queue'],
    ),
    queuePauses: counter('queue_pauses_total', 'Pauses of consumption, by what failed.', ['queue', 'code']),
    messagesInFlight: gauge('messages_in_flight', 'Messages that this process handles now.', ['queue']),
    leasesLost: counter('leases_lost_total', 'Messages whose visibility ran out while being handled.', [
      'queue',
    ]),
    handlerTimeouts: counter('handler_timeouts_total', 'Handlers that outlived their deadline.', ['queue']),
    outboxLagSeconds: gauge(
      'outbox_lag_seconds',
      'Age of the oldest outbox row that is not published, parked ones included; 0 when none.',
    ),
    outboxRefused: gauge('outbox_refused', '1 while the queue takes no message of this process.', ['queue']),
    /** `capability`: message_group_ids, trace_headers, long_polling. Missing until it is found out. */
    queueCapability: gauge('queue_capability', '1 where the queue can do it, 0 where it can not.', [
      'queue',
      'capability',
    ]),
    /** `state`: pending, parked. */
    outboxRows: gauge('outbox_rows', 'Outbox rows that are not published.', ['state']),
    outboxPublished: counter('outbox_published_total', 'Outbox rows published.', ['queue']),
  };
}

/** The reconciler is gone before anybody scrapes it: these are read from what its runs leave in Postgres. */
function reconcilerMetrics({ counter, gauge }: Makers) {
  return {
    /** `result`: the counts of the run, such as scanned, redriven, quarantined, requeued_gifts. */
    reconcilerLastRunMessages: gauge(
      'reconciler_last_run_messages',
      'What the last run of the reconciler did.',
      ['queue', 'result'],
    ),
    reconcilerLastRun: gauge(
      'reconciler_last_run_timestamp_seconds',
      'When the last run of the reconciler ended, in Unix time.',
      ['queue'],
    ),
    reconcilerRunSeconds: gauge(
      'reconciler_last_run_seconds',
      'Duration of the last run of the reconciler.',
      ['queue'],
    ),
    circuitOpen: gauge('circuit_breaker_open', '1 while the circuit breaker holds redrives back.', ['queue']),
    quarantineTripped: gauge(
      'quarantine_breaker_tripped',
      '1 while no gift is failed until a person has looked, as too many were about to be.',
      ['queue'],
    ),
    messagesRedriven: counter('messages_redriven_total', 'Messages sent back from the dead-letter queue.', [
      'queue',
    ]),
  };
}

function serviceMetrics({ counter, gauge, histogram }: Makers) {
  const httpRequestSeconds = histogram(
    'http_request_seconds',
    'Duration of HTTP requests; `route` is the pattern, not the path.',
    ['method', 'route', 'status'],
    WORK_BUCKETS,
  );
  return {
    httpRequestSeconds,
    /** Keeps made-up methods and unrouted paths from making series of their own. */
    observeHttp: (request: {
      method: string;
      route: string | undefined;
      status: number;
      seconds: number;
    }) => {
      const method = METHODS.has(request.method) ? request.method : 'OTHER';
      const status =
        Number.isInteger(request.status) && request.status >= 100 && request.status < 600
          ? request.status
          : 0;
      httpRequestSeconds.observe(
        { method, route: request.route ?? 'unmatched', status: String(status) },
        request.seconds,
      );
    },
    /** `check`: those of /readyz. */
    readinessOk: gauge('readiness_ok', '1 while the check of readiness passes, 0 while it fails.', ['check']),
    /** `limiter`: ip, key, claim. */
    rateLimited: counter('rate_limited_requests_total', 'Requests refused by a rate limit.', ['limiter']),
    rateLimiterFailures: counter(
      'rate_limiter_failures_total',
      'Decisions made without the store, which hung or failed.',
    ),
    /** `use`: current, known, retired. A rotation goes on when every process shows the same. */
    keyringLookupVersions: gauge(
      'keyring_lookup_versions',
      '1 for each version of the lookup key that the process knows, by its use.',
      ['version', 'use'],
    ),
    /** `sink`: stream (stdout), file (LOG_FILE), record (the line could not be made). */
    logRecordsDropped: counter(
      'log_records_dropped_total',
      'Log lines that nobody took: the reader is gone or frozen, or the disk is full.',
      ['sink'],
    ),
  };
}

function ledgerMetrics({ gauge }: Makers) {
  return {
    /** `invariant`: the names of /v1/ledger/invariants. */
    ledgerInvariant: gauge(
      'ledger_invariant_ok',
      '1 while the invariant of the ledger holds, 0 when broken.',
      ['invariant'],
    ),
    ledgerClosed: gauge(
      'ledger_closed_timestamp_seconds',
      'Until when what was posted is in closed periods of the ledger, in Unix time.',
    ),
    /** By invariant, as gifts and periods go round on their own. */
    ledgerRecounted: gauge(
      'ledger_recounted_timestamp_seconds',
      'When everything closed was last counted again to its end, in Unix time.',
      ['invariant'],
    ),
  };
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
