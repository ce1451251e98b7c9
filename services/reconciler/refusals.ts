import type { LeaseHolder } from '../database/queries/reconciler-leases.ts';
import type { MoveTask } from '../queue/dead-letter-queue.ts';
import { untriedCircuit } from './circuit.ts';
import { untriedQuarantine } from './quarantine-breaker.ts';
import type { Run } from './run.ts';
import { countResults, type RunOutcome, type RunReport } from './run-report.ts';

export type Refusal = { outcome: RunOutcome; reason: string };

/** The report of a run that did not begin: nothing was looked at. */
export function refusal(
  run: Pick<Run, 'id' | 'policy' | 'dryRun' | 'startedAt'>,
  { outcome, reason }: Refusal,
): RunReport {
  return {
    runId: run.id,
    queue: run.policy.queue,
    policy: run.policy.name,
    dryRun: run.dryRun,
    outcome,
    reasons: [reason],
    counts: countResults({
      results: [],
      depth: 0,
      scanComplete: true,
      circuit: untriedCircuit,
      quarantine: untriedQuarantine,
      parked: 0,
      stuck: null,
      sweep: null,
      stoppedBecause: null,
    }),
    circuit: null,
    quarantine: null,
    moveTasks: null,
    sweep: null,
    results: [],
    traceparent: undefined,
    startedAt: run.startedAt,
    finishedAt: run.startedAt,
  };
}

export const suspended: Refusal = {
  outcome: 'suspended',
  reason: 'spec.suspend is true: nothing was looked at',
};

export function heldByAnother(queue: string, { holder, started_at, expires_at }: LeaseHolder): Refusal {
  const since = started_at === null ? '' : `, started ${started_at.toISOString()}`;
  return {
    outcome: 'again',
    reason: `run ${holder} works on ${queue}${since}; its lease ends at ${expires_at.toISOString()} unless it is renewed`,
  };
}

export function moveTaskActive({ status, startedAt, movedCount }: MoveTask): Refusal {
  return {
    outcome: 'again',
    reason: `SQS is moving messages out of this dead-letter queue itself (move task ${status} since ${startedAt.toISOString()}, ${movedCount} moved so far): wait for it, or cancel it with \`aws sqs cancel-message-move-task\``,
  };
}
