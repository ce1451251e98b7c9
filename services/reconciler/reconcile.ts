import { countParked, pardonRedrives } from '../database/queries/reconciler-quarantine.ts';
import { finishRun, startRun } from '../database/queries/reconciler-runs.ts';
import { newUuid } from '../domain/ids.ts';
import { currentTraceparent, inSpan } from '../observability/tracing.ts';
import { findDeadLetterQueue, findMoveTask } from '../queue/dead-letter-queue.ts';
import { DeadLetters } from '../queue/dead-letters.ts';
import { apply } from './apply.ts';
import { quarantineRules } from './built-in-rules.ts';
import { CircuitWatch } from './circuit-watch.ts';
import { decide } from './decide.ts';
import { gather } from './gather.ts';
import { acquireLease } from './lease.ts';
import type { Policy } from './policy.ts';
import { candidateKeys, holdQuarantines, type Release } from './quarantine-hold.ts';
import { watchQuarantine } from './quarantine-watch.ts';
import { heldByAnother, moveTaskActive, refusal, suspended } from './refusals.ts';
import { bothRights, type LetterResult, type ReconcilerDeps, type Right, type Run } from './run.ts';
import { countResults, type Findings, judgeRun, type RunReport, storedCounts } from './run-report.ts';
import type { Judgement } from './seen-letter.ts';
import { gatherSurroundings, sweep } from './sweep.ts';

export type ReconcileOptions = {
  /** name of the queue whose dead letters these are, as SQS knows it */
  queueName: string;
  /** on top of the policy's own */
  dryRun: boolean;
  /** stops the run at the next safe place */
  signal: AbortSignal;
  /** what a person lets happen to what the quarantine breaker holds */
  release?: Release | null;
  /** a right besides the lease of the queue, without which the run does nothing either */
  right?: Right;
  leaseTtlSeconds?: number;
  /** hides messages from others while the run has them, renewed at half of it */
  visibilityTimeoutSeconds?: number;
  waitTimeSeconds?: number;
};

/**
 * One run over one queue: gather, decide, apply, sweep, report. Safe to repeat at any time and after any crash: verdicts
 * are recorded before they are carried out, messages sent before they are deleted.
 *
 * @throws NoDeadLetterQueueError, or the error of a database or queue that can't be reached; the lease is given back
 */
export async function reconcile(
  deps: ReconcilerDeps,
  policy: Policy,
  options: ReconcileOptions,
): Promise<RunReport> {
  const clock = await deps.openClock();
  const run = { id: newUuid(), policy, dryRun: options.dryRun || policy.dryRun, startedAt: clock(), clock };
  if (policy.suspend) return refusal(run, suspended);
  const taken = await acquireLease(deps.db, policy.queue, {
    holder: run.id,
    ...(options.leaseTtlSeconds === undefined ? {} : { ttlSeconds: options.leaseTtlSeconds }),
    onRenewalFailed: (error) =>
      deps.log.warn('the lease could not be renewed', { event: 'lease_not_renewed', error }),
  });
  if ('heldBy' in taken) return refusal(run, heldByAnother(policy.queue, taken.heldBy));
  try {
    const attributes = {
      'largesse.run_id': run.id,
      'messaging.system': 'aws_sqs',
      'largesse.dry_run': run.dryRun,
    };
    const lease = options.right === undefined ? taken.lease : bothRights(taken.lease, options.right);
    return await inSpan(`reconcile ${policy.queue}`, { attributes }, () =>
      runUnderLease({ ...deps, ...run, lease }, options),
    );
  } finally {
    await taken.lease.release();
  }
}

type Leased = ReconcilerDeps & Pick<Run, 'id' | 'policy' | 'dryRun' | 'startedAt' | 'clock' | 'lease'>;

async function runUnderLease(leased: Leased, options: ReconcileOptions): Promise<RunReport> {
  const { db, clients, policy } = leased;
  const queue = await findDeadLetterQueue(clients, options.queueName);
  const moving = await findMoveTask(clients, queue.arn);
  if (!moving.known) {
    leased.log.info('the queue service does not list its own redrives: one would not be noticed', {
      event: 'move_tasks_not_listed',
      error: moving.error,
    });
  }
  if (moving.task !== null) return refusal(leased, moveTaskActive(moving.task));
  await startRun(db, { ...leased, queue: policy.queue });
  const letters = new DeadLetters(clients, queue.url, {
    ...(options.visibilityTimeoutSeconds === undefined
      ? {}
      : { visibilityTimeoutSeconds: options.visibilityTimeoutSeconds }),
  });
  const run: Run = {
    ...leased,
    queue,
    letters,
    circuit: await CircuitWatch.open(db, policy, leased.dryRun),
    moveTasks: moving.known ? 'known' : 'unknown',
    stop: AbortSignal.any([options.signal, leased.lease.lost]),
  };
  try {
    return await finish(run, await work(run, options));
  } finally {
    await letters.close();
  }
}

async function work(run: Run, options: ReconcileOptions): Promise<Findings> {
  const { db, policy, queue, startedAt } = run;
  const surroundings = await gatherSurroundings(run);
  const { seen, complete } = await gather(db, run.letters, {
    queue: { name: policy.queue, retentionSeconds: queue.retentionSeconds },
    maxMessages: policy.limits.maxMessages,
    signal: run.stop,
    now: startedAt,
    ...(options.waitTimeSeconds === undefined ? {} : { waitTimeSeconds: options.waitTimeSeconds }),
  });
  const circuit = await run.circuit.judge(seen, startedAt);
  const ruled = decide(policy, seen, circuit);
  const release = options.release ?? null;
  const quarantine = await watchQuarantine(db, policy, {
    candidateKeys: candidateKeys(ruled),
    scanComplete: complete,
    now: startedAt,
    released: release !== null,
  });
  const judgements = holdQuarantines(ruled, policy, {
    breaker: quarantine.state,
    circuit: circuit.state,
    release,
  });
  if (release === 'redrive' && !run.dryRun) await pardonReleased(run, judgements);
  const results: LetterResult[] = run.dryRun
    ? judgements.map((judgement) => ({ ...judgement, outcome: 'planned' }))
    : await apply(run, judgements);
  const findings = { results, depth: queue.depth, scanComplete: complete, quarantine };
  const swept = run.stop.aborted ? null : await sweep(run, surroundings, { complete, results });
  const parked = (await countParked(db, policy.queue)) + (run.dryRun ? plannedToPark(judgements) : 0);
  return {
    ...findings,
    parked,
    circuit: run.circuit.circuit,
    stuck: surroundings.stuck,
    sweep: swept,
    stoppedBecause: run.stop.aborted ? sentenceOf(run.stop.reason) : null,
  };
}

function sentenceOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}

function plannedToPark(judgements: readonly Judgement[]): number {
  return judgements.filter(
    ({ verdict, letter }) => verdict === 'quarantine' && letter.class === 'poison' && letter.earlier === null,
  ).length;
}

/** What a person sends back begins anew: what it died of before is not counted any more. */
async function pardonReleased(run: Run, judgements: readonly Judgement[]): Promise<void> {
  const released = judgements.filter(({ rule }) => rule === quarantineRules.released);
  await pardonRedrives(run.db, run.policy.queue, { keys: released.map(({ letter }) => letter.key) });
}

async function finish(run: Run, findings: Findings): Promise<RunReport> {
  const counts = countResults(findings);
  const judged = judgeRun(findings);
  const finishedAt = run.clock();
  await finishRun(run.db, {
    id: run.id,
    outcome: judged.outcome,
    counts: storedCounts(counts, findings),
    finishedAt,
  });
  return {
    runId: run.id,
    queue: run.policy.queue,
    policy: run.policy.name,
    dryRun: run.dryRun,
    ...judged,
    counts,
    circuit: findings.circuit,
    quarantine: findings.quarantine,
    moveTasks: run.moveTasks,
    sweep: findings.sweep?.decision ?? null,
    results: findings.results,
    traceparent: currentTraceparent(),
    startedAt: run.startedAt,
    finishedAt,
  };
}
