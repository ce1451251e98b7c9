import { logRun } from './log-run.ts';
import type { Policy } from './policy.ts';
import type { PolicySource } from './policy-source.ts';
import type { Release } from './quarantine-hold.ts';
import { reconcile } from './reconcile.ts';
import type { ReconcilerDeps } from './run.ts';
import { exitCodes } from './run-report.ts';
import { formatRun } from './run-table.ts';
import { statusAfter } from './status.ts';

export type RunPoliciesOptions = {
  /** name of each queue as SQS knows it */
  queueNames: Readonly<Record<Policy['queue'], string>>;
  dryRun: boolean;
  release?: Release | null;
  signal: AbortSignal;
  /** shows a person what happened; null where nobody watches */
  print: ((text: string) => unknown) | null;
};

/** Every policy after the other: run, log, publish the status. The exit code is that of the gravest outcome. */
export async function runPolicies(
  deps: ReconcilerDeps,
  source: PolicySource,
  policies: readonly Policy[],
  options: RunPoliciesOptions,
): Promise<number> {
  let exitCode: number = exitCodes.converged;
  for (const policy of policies) {
    const { dryRun, signal } = options;
    const report = await reconcile(deps, policy, {
      queueName: options.queueNames[policy.queue],
      dryRun,
      release: options.release ?? null,
      signal,
    });
    const status = statusAfter((await source.previousStatus?.(policy)) ?? null, report, policy.generation);
    await logRun(deps.log, report, status, options.print === null ? 'info' : 'debug');
    options.print?.(formatRun(report));
    await source.publishStatus?.(policy, status);
    exitCode = Math.max(exitCode, exitCodes[report.outcome]);
  }
  return exitCode;
}
