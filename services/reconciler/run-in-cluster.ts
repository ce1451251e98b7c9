import { setTimeout as pause } from 'node:timers/promises';
import type { FoundPolicy, PolicySource } from './found-policy.ts';
import { type ClusterOptions, openCluster } from './kubernetes/open-cluster.ts';
import type { ReconcilerDeps } from './run.ts';
import { type RunPoliciesOptions, runPolicies } from './run-policies.ts';
import { exitCodes } from './run-report.ts';

const LOOK_AGAIN_MS = 1_000;

/**
 * All policies of the namespace, under the Lease.
 * @throws KubernetesError when nothing could be begun
 */
export async function runInCluster(
  deps: ReconcilerDeps,
  cluster: ClusterOptions,
  options: RunPoliciesOptions,
): Promise<number> {
  const { log } = deps;
  const opened = await openCluster(cluster);
  if ('heldBy' in opened) {
    log.warn('another run has the Lease: nothing was looked at', {
      event: 'lease_held',
      lease: cluster.leaseName,
      holder: opened.heldBy,
    });
    return exitCodes.again;
  }
  try {
    const policies = await awaitPolicies(opened.source, cluster);
    if (policies.length > 0) return await runPolicies(deps, policies, { ...options, right: opened.right });
    const { namespace } = cluster.access;
    log.error(
      `there is no DeadLetterPolicy in namespace ${namespace}, so nobody looks at its dead letters; to stop on purpose, suspend one`,
      { event: 'no_policies', namespace, selector: cluster.selector },
    );
    return exitCodes.needs_person;
  } finally {
    await opened.close();
  }
}

/**
 * Those of a new installation are made after its CronJob: a run that comes in between is early, which is no reason to call
 * a person. @returns none where there are none for as long as that may take
 */
async function awaitPolicies(
  source: PolicySource,
  { policyWaitSeconds, signal }: ClusterOptions,
): Promise<FoundPolicy[]> {
  const untilMs = performance.now() + policyWaitSeconds * 1_000;
  for (;;) {
    const policies = await source.load();
    if (policies.length > 0 || signal.aborted || performance.now() >= untilMs) return policies;
    await pause(LOOK_AGAIN_MS, undefined, { signal }).catch(() => undefined);
  }
}
