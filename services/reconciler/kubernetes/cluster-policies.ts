import type { Logger } from '../../observability/logger.ts';
import { type FoundPolicy, oneForEachQueue, type PolicySource } from '../found-policy.ts';
import { readStoredPolicy } from '../policy-document.ts';
import type { PolicyStatus } from '../policy-status.ts';
import type { ApiClient } from './api-client.ts';
import { createEvent } from './event-api.ts';
import { eventsBetween } from './events.ts';
import { followPolicy } from './follow-policy.ts';
import type { Leadership } from './leadership.ts';
import { PolicyApi } from './policy-api.ts';
import { byAge, type PolicyObject, statusOf } from './policy-object.ts';

type Cluster = {
  client: ApiClient;
  log: Logger;
  leadership: Pick<Leadership, 'isValid' | 'isOurs'>;
  /** of this run, in the names of its Events */
  runName: string;
  /** label selector; without it, all of the namespace */
  selector: string | undefined;
  signal: AbortSignal;
};

/** The DeadLetterPolicies of the namespace, with their status and Events. */
export function clusterPolicies(cluster: Cluster): PolicySource {
  const api = new PolicyApi(cluster.client);
  return {
    load: async () => {
      const objects = await api.list(cluster.selector, cluster.signal);
      return oneForEachQueue(objects.toSorted(byAge).map((object) => toFound(cluster, api, object)));
    },
  };
}

function toFound(cluster: Cluster, api: PolicyApi, object: PolicyObject): FoundPolicy {
  const { name, generation = null } = object.metadata;
  const { ignored, ...content } = readStoredPolicy(object);
  if (ignored.length > 0) {
    cluster.log.warn('fields of a policy are not known to this release and have no effect', {
      event: 'policy_fields_ignored',
      policy: name,
      fields: ignored,
    });
  }
  return {
    name,
    generation,
    content,
    previousStatus: statusOf(object),
    publish: (status) => publish(cluster, api, object, status),
    follow: () => followPolicy(api, object),
  };
}

/** @throws KubernetesError when the status could not be written */
async function publish(
  cluster: Cluster,
  api: PolicyApi,
  object: PolicyObject,
  status: PolicyStatus,
): Promise<void> {
  const { client, log, leadership, runName } = cluster;
  const policy = object.metadata.name;
  if (!leadership.isValid() && !(await leadership.isOurs())) {
    log.warn('another run has the Lease: the status of this one is not written', {
      event: 'status_left_out',
      policy,
    });
    return;
  }
  if ((await api.applyStatus(object, status)) === null) {
    log.warn('the policy does not exist any more: its status is not written', {
      event: 'status_left_out',
      policy,
    });
    return;
  }
  for (const draft of eventsBetween(statusOf(object), status)) {
    // The status tells the same: an Event that is missing is no reason to run again.
    await createEvent(client, object, { draft, runName, at: new Date() }).catch((error: unknown) =>
      log.warn('an Event could not be created', { event: 'event_not_created', policy, error }),
    );
  }
}
