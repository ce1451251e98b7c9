import type { Kysely } from 'kysely';
import { readMonths } from '../database/queries/months.ts';
import { readOldestAges } from '../database/queries/queue-activity.ts';
import { countRedriven, readLastRuns } from '../database/queries/reconciler-runs.ts';
import type { Database } from '../database/schema.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { QueueDepth } from '../queue/queue-depth.ts';
import type { Clock } from '../runtime/clock.ts';
import type { LedgerCheck } from './ledger-check.ts';
import type { QueueReport } from './queue-report.ts';

export type StateGaugesDeps = {
  db: Kysely<Database>;
  metrics: Metrics;
  report: () => Promise<QueueReport>;
  checkLedger: LedgerCheck;
  clock: Clock;
};

/** A reading takes as long as the open period; one that can't be had is left alone for a while. */
const ledgerEveryMs = 60_000;
const ledgerRetryMs = 300_000;

/**
 * Gauges of what is the same for all processes: queues, outbox, ledger, months, the reconciler's runs. Every API process shows
 * them, so a query takes their maximum and not their sum.
 *
 * @returns what to run before each scrape
 */
export function setStateGauges(deps: StateGaugesDeps): () => Promise<void> {
  const setLedger = ledgerGauge(deps);
  return async () => {
    await Promise.all([setQueues(deps), setReconciler(deps), setMonths(deps), setLedger()]);
  };
}

function ledgerGauge({ checkLedger, clock }: StateGaugesDeps): () => Promise<void> {
  let dueAtMs = Number.NEGATIVE_INFINITY;
  return async () => {
    const nowMs = clock().getTime();
    if (nowMs < dueAtMs) return;
    // Set before it is read: a scrape that gives up waiting must not make the next one start another reading.
    dueAtMs = nowMs + ledgerEveryMs;
    try {
      await checkLedger();
    } catch (error) {
      dueAtMs = nowMs + ledgerRetryMs;
      throw error;
    }
  };
}

async function setQueues({ db, metrics, report }: StateGaugesDeps): Promise<void> {
  const [{ queues, outbox }, oldest] = await Promise.all([report(), readOldestAges(db)]);
  for (const { name, depth, deadLetters } of queues) {
    setDepth(metrics, name, depth);
    setDepth(metrics, deadLetters.name, deadLetters.depth);
    metrics.oldestMessageSeconds.set({ queue: name }, oldest.waiting ?? 0);
    metrics.oldestMessageSeconds.set({ queue: deadLetters.name }, oldest.deadLettered ?? 0);
  }
  metrics.giftsLate.set(oldest.late);
  metrics.outboxRows.set({ state: 'pending' }, outbox.pending);
  metrics.outboxRows.set({ state: 'parked' }, outbox.parked);
  metrics.outboxLagSeconds.set(outbox.lagSeconds);
}

/** A depth that is not known is shown as missing: an old number would look like a queue that stands still. */
function setDepth({ queueDepth }: Metrics, queue: string, depth: QueueDepth | null): void {
  const states = { visible: depth?.visible, in_flight: depth?.inFlight, delayed: depth?.delayed };
  for (const [state, messages] of Object.entries(states)) {
    if (messages === undefined) queueDepth.remove({ queue, state });
    else queueDepth.set({ queue, state }, messages);
  }
}

async function setMonths({ db, metrics }: StateGaugesDeps): Promise<void> {
  for (const { table, days_ahead: days, without_month: rows } of await readMonths(db)) {
    metrics.partitionsAheadDays.set({ table }, days);
    metrics.rowsWithoutMonth.set({ table }, rows);
  }
}

async function setReconciler({ db, metrics }: StateGaugesDeps): Promise<void> {
  const [runs, redriven] = await Promise.all([readLastRuns(db), countRedriven(db)]);
  for (const { queue, counts, started_at: startedAt, finished_at: finishedAt } of runs) {
    const {
      circuit_state: circuit,
      circuit_since: _circuitSince,
      quarantine_state: quarantine,
      quarantine_since: _quarantineSince,
      ...results
    } = counts;
    for (const [result, messages] of Object.entries(results)) {
      metrics.reconcilerLastRunMessages.set({ queue, result }, messages);
    }
    metrics.reconcilerLastRun.set({ queue }, finishedAt.getTime() / 1_000);
    metrics.reconcilerRunSeconds.set({ queue }, (finishedAt.getTime() - startedAt.getTime()) / 1_000);
    metrics.circuitOpen.set({ queue }, circuit === 1 ? 1 : 0);
    metrics.quarantineTripped.set({ queue }, quarantine === 1 ? 1 : 0);
  }
  metrics.messagesRedriven.reset();
  for (const { queue, redriven: count } of redriven) metrics.messagesRedriven.inc({ queue }, count);
}
