import { hostname } from 'node:os';
import type { Kysely } from 'kysely';
import { endPause, recordPause } from '../database/queries/queue-pauses.ts';
import type { Database } from '../database/schema.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { MailBreakerOptions, Pause } from './mail-breaker.ts';

export type PauseReport = Pick<MailBreakerOptions, 'onPause' | 'onResume'> & {
  /** Takes the pause back, if there is one: a process that ends pauses nothing. */
  close: () => Promise<void>;
};

/** Shows a pause where an operator looks: log, metrics, and Postgres, which `GET /v1/queues` reads. */
export function createPauseReport(
  deps: { db: Kysely<Database>; metrics: Metrics; log: Logger },
  queue: string,
): PauseReport {
  const { db, metrics, log } = deps;
  const consumer = `${hostname()}-${process.pid}-${crypto.randomUUID().slice(0, 8)}`;
  let isPaused = false;
  // One after the other: a pause that is recorded late must not outlast its own end.
  let written = Promise.resolve();
  const write = (task: () => Promise<void>) => {
    written = written.then(task).catch((error: unknown) => {
      // The queue is paused all the same; only those who ask the API don't see it until the next probe.
      log.warn('a pause could not be recorded', { event: 'pause_not_recorded', error });
    });
  };
  metrics.queuePaused.set({ queue }, 0);
  return {
    onPause: (pause) => {
      if (!isPaused) metrics.queuePauses.inc({ queue, code: pause.failure.code });
      isPaused = true;
      metrics.queuePaused.set({ queue }, 1);
      logPause(log, queue, pause);
      const { owner, code, reason } = pause.failure;
      const seconds = { pausedSeconds: pause.pausedMs / 1_000, nextProbeSeconds: pause.nextProbeMs / 1_000 };
      write(() => recordPause(db, { queue, consumer, owner, code, reason, ...seconds }));
    },
    onResume: (pausedMs) => {
      isPaused = false;
      metrics.queuePaused.set({ queue }, 0);
      log.info('consumption goes on', {
        event: 'consumption_resumed',
        queue,
        paused_ms: Math.round(pausedMs),
      });
      write(() => endPause(db, { queue, consumer }));
    },
    close: async () => {
      if (isPaused) write(() => endPause(db, { queue, consumer }));
      await written;
    },
  };
}

function logPause(log: Logger, queue: string, { failure, failedProbes, nextProbeMs, pausedMs }: Pause): void {
  const { class: failureClass, owner, code, reason } = failure;
  log.error('consumption is paused: what fails concerns every gift', {
    event: 'consumption_paused',
    marker: '[MONITOR]',
    queue,
    class: failureClass,
    owner,
    code,
    reason,
    failed_probes: failedProbes,
    next_probe_ms: Math.round(nextProbeMs),
    paused_ms: Math.round(pausedMs),
  });
}
