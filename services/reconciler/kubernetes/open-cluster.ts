import { hostname } from 'node:os';
import type { Logger } from '../../observability/logger.ts';
import type { PolicySource } from '../found-policy.ts';
import type { Access } from './access.ts';
import { ApiClient } from './api-client.ts';
import { clusterPolicies } from './cluster-policies.ts';
import { type Leadership, type LeadershipTimes, takeLeadership } from './leadership.ts';
import { Leases } from './leases.ts';

export type ClusterOptions = {
  access: Access;
  leaseName: string;
  /** label selector of the policies; without it, all of the namespace */
  selector: string | undefined;
  /** for how long a namespace without a policy is looked at again */
  policyWaitSeconds: number;
  /** uuid of this process's run */
  runId: string;
  log: Logger;
  signal: AbortSignal;
  times?: LeadershipTimes;
};

export type Cluster = {
  source: PolicySource;
  right: Pick<Leadership, 'lost' | 'isValid'>;
  /** gives the Lease back */
  close: () => Promise<void>;
};

/**
 * A cluster as the place of the policies, with the Lease taken, or the name of the run that has it.
 * @throws KubernetesError
 */
export async function openCluster(options: ClusterOptions): Promise<Cluster | { heldBy: string }> {
  const { log, runId, signal, selector, times } = options;
  const client = new ApiClient(options.access);
  const taken = await takeLeadership(new Leases(client, options.leaseName), {
    identity: `${hostname()}_${runId}`,
    signal,
    ...(times === undefined ? {} : { times }),
    onRenewalFailed: (error) =>
      log.warn('the Lease could not be renewed; the run goes on for as long as it lasts', {
        event: 'lease_not_renewed',
        error,
      }),
  });
  if ('heldBy' in taken) return taken;
  const { leadership } = taken;
  const runName = runId.slice(-12);
  return {
    source: clusterPolicies({ client, log, leadership, runName, selector, signal }),
    right: leadership,
    close: async () => {
      await leadership.release().catch((error: unknown) =>
        log.warn('the Lease could not be given back: the next run waits for its end', {
          event: 'lease_not_given_back',
          error,
        }),
      );
      client.close();
    },
  };
}
