import type { Clock } from '../runtime/clock.ts';
import { assertMigrated } from './database-ready.ts';
import type { Failure } from './failures.ts';
import type { FoundPolicy } from './found-policy.ts';
import { logRun } from './log-run.ts';
import type { Policy } from './policy.ts';
import type { PolicyProblem } from './policy-checks.ts';
import { PolicyError } from './policy-document.ts';
import type { PolicyStatus } from './policy-status.ts';
import type { Release } from './quarantine-hold.ts';
import { reconcile } from './reconcile.ts';
import type { ReconcilerDeps, Right } from './run.ts';
import { exitCodes, type RunOutcome } from './run-report.ts';
import { formatRun } from './run-table.ts';
import { type StatusScope, statusAfter, statusAfterFailure, statusOfInvalid } from './status.ts';

export type RunPoliciesOptions = {
  /** name of each queue as SQS knows it */
  queueNames: Readonly<Record<Policy['queue'], string>>;
  /** on top of the policies' own: also their status stays as it is */
  dryRun: boolean;
  release?: Release | null;
  signal: AbortSignal;
  /** in a cluster, the right to reconcile at all; each run has one to its queue besides */
  right?: Right;
  /** what went wrong, in words; null: nobody foresaw it */
  explain: (error: unknown) => Failure | null;
  /** when no run tells the time: the database may be what failed */
  clock: Clock;
  /** shows a person what happened; null where nobody watches */
  print: ((text: string) => unknown) | null;
};

/**
 * Every policy after the other: run, log, publish the status. One that can't be used, or fails, does not keep the others
 * from their runs. The exit code is that of the gravest outcome.
 */
export async function runPolicies(
  deps: ReconcilerDeps,
  found: readonly FoundPolicy[],
  options: RunPoliciesOptions,
): Promise<number> {
  let exitCode: number = exitCodes.converged;
  for (const one of found) {
    const { outcome, status } = await runPolicy(deps, one, options);
    const published = options.dryRun || (await publish(deps, one, status, options));
    exitCode = Math.max(exitCode, exitCodes[outcome], published ? 0 : exitCodes.again);
  }
  return exitCode;
}

type Ended = { outcome: RunOutcome; status: PolicyStatus };

async function runPolicy(
  deps: ReconcilerDeps,
  found: FoundPolicy,
  options: RunPoliciesOptions,
): Promise<Ended> {
  const { content, previousStatus: previous, generation } = found;
  const scope = () => ({ previous, generation, at: options.clock() });
  if ('problems' in content) return reportProblems(deps, found, content.problems, scope());
  const followed = found.follow();
  try {
    await assertMigrated(deps.db);
    const report = await reconcile(deps, content.policy, {
      queueName: options.queueNames[content.policy.queue],
      dryRun: options.dryRun,
      release: options.release ?? null,
      signal: AbortSignal.any([options.signal, followed.stopped]),
      ...(options.right === undefined ? {} : { right: options.right }),
    });
    const status = statusAfter(previous, report, generation);
    await logRun(deps.log, report, status, options.print === null ? 'info' : 'debug');
    options.print?.(formatRun(report));
    return { outcome: report.outcome, status };
  } catch (error) {
    return reportFailure(deps, found, error, options.explain(error), scope());
  } finally {
    followed.end();
  }
}

function reportProblems(
  { log }: ReconcilerDeps,
  { name }: FoundPolicy,
  problems: readonly PolicyProblem[],
  scope: StatusScope,
): Ended {
  const { message, code } = new PolicyError(name, problems);
  log.error(message, { event: 'reconciler_misconfigured', code, policy: name });
  return { outcome: 'needs_person', status: statusOfInvalid(scope, problems) };
}

function reportFailure(
  { log }: ReconcilerDeps,
  { name: policy }: FoundPolicy,
  error: unknown,
  failure: Failure | null,
  scope: StatusScope,
): Ended {
  if (failure === null) {
    log.error('the run failed', { event: 'reconciler_failed', policy, error });
    const unforeseen = { reason: 'Failed', message: 'the run failed in a way that its log tells' };
    return { outcome: 'again', status: statusAfterFailure(scope, unforeseen) };
  }
  const { outcome, event, fields, message } = failure;
  log.error(message, { event, policy, ...fields });
  return { outcome, status: statusAfterFailure(scope, failure) };
}

/** False: the policy does not know of its run, which the log tells in its stead. */
async function publish(
  { log }: ReconcilerDeps,
  { name: policy, publish }: FoundPolicy,
  status: PolicyStatus,
  { explain }: RunPoliciesOptions,
): Promise<boolean> {
  try {
    await publish(status);
    return true;
  } catch (error) {
    const why = explain(error)?.message;
    log.error('the status of a policy could not be written; what the run did is done', {
      event: 'status_not_written',
      policy,
      status,
      ...(why === undefined ? { error } : { why }),
    });
    return false;
  }
}
