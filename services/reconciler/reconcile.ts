import { finishRun, startRun } from '../database/queries/reconciler-runs.ts';
import { newUuid } from '../domain/ids.ts';
import { currentTraceparent, inSpan } from '../observability/tracing.ts';
import { activeMoveTask, findDeadLetterQueue } from '../queue/dead-letter-queue.ts';
import { DeadLetters } from '../queue/dead-letters.ts';
import { apply } from './apply.ts';
import { CircuitWatch } from './circuit-watch.ts';
import { decide } from './decide.ts';
import { gather } from './gather.ts';
import { acquireLease, type Lease } from './lease.ts';
import type { Policy } from './policy.ts';
import { heldByAnother, moveTaskActive, refusal, suspended } from './refusals.ts';
import type { LetterResult, ReconcilerDeps, Run } from './run.ts';
import { countResults, type Findings, judgeRun, type RunReport, storedCounts } from './run-report.ts';
import { gatherSurroundings, sweep } from './sweep.ts';

export type ReconcileOptions = {
  /** name of the queue whose dead letters these are, as SQS knows it */
  queueName: string;
  /** on top of the policy's own */
  dryRun: boolean;
  /** stops the run at the next safe place */
  signal: AbortSignal;
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
  const startedAt = deps.clock();
  const run = { id: newUuid(), policy, dryRun: options.dryRun || policy.dryRun, startedAt };
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
    return await inSpan(`reconcile ${policy.queue}`, { attributes }, () =>
      runUnderLease({ ...deps, ...run, lease: taken.lease }, options),
    );
  } finally {
    await taken.lease.release();
  }
}

type Leased = ReconcilerDeps & Pick<Run, 'id' | 'policy' | 'dryRun' | 'startedAt'> & { lease: Lease };

async function runUnderLease(leased: Leased, options: ReconcileOptions): Promise<RunReport> {
  const { db, clients, policy } = leased;
  const queue = await findDeadLetterQueue(clients, options.queueName);
  const moveTask = await activeMoveTask(clients, queue.arn);
  if (moveTask !== null) return refusal(leased, moveTaskActive(moveTask));
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
    circuit: await CircuitWatch.open(db, policy),
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
  const judgements = decide(policy, seen, await run.circuit.judge(seen, startedAt));
  const results: LetterResult[] = run.dryRun
    ? judgements.map((judgement) => ({ ...judgement, outcome: 'planned' }))
    : await apply(run, judgements);
  const findings = { results, depth: queue.depth, scanComplete: complete };
  const swept = run.stop.aborted ? null : await sweep(run, surroundings, { complete, results });
  return { ...findings, circuit: run.circuit.circuit, stuck: surroundings.stuck, sweep: swept };
}

async function finish(run: Run, findings: Findings): Promise<RunReport> {
  const counts = countResults(findings);
  const judged = judgeRun(findings);
  const finishedAt = run.clock();
  await finishRun(run.db, {
    id: run.id,
    outcome: judged.outcome,
    counts: storedCounts(counts, findings.circuit),
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
    sweep: findings.sweep?.decision ?? null,
    results: findings.results,
    traceparent: currentTraceparent(),
    startedAt: run.startedAt,
    finishedAt,
  };
}
