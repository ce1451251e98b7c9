import { type PolicyStatus, readPolicyStatus } from '../policy-status.ts';

/** A DeadLetterPolicy as an API server gives it, as far as it is not the reader's of every policy. */
export type PolicyObject = {
  metadata: {
    name: string;
    uid: string;
    generation?: number;
    resourceVersion?: string;
    creationTimestamp?: string;
    deletionTimestamp?: string;
  };
  spec?: { suspend?: unknown; dryRun?: unknown };
  status?: unknown;
};

/** The older policy comes first: of two for one queue it is in force. */
export function byAge(one: PolicyObject, other: PolicyObject): number {
  const key = ({ metadata }: PolicyObject) => `${metadata.creationTimestamp} ${metadata.name}`;
  return key(one) < key(other) ? -1 : 1;
}

export function statusOf(object: PolicyObject): PolicyStatus | null {
  return readPolicyStatus(object.status);
}

/** A sentence when a run that began with `begun` must not go on now; any other change is for the next run. Pure. */
export function whyStop(begun: PolicyObject, now: PolicyObject | null): string | null {
  if (now === null || now.metadata.deletionTimestamp !== undefined || now.metadata.uid !== begun.metadata.uid)
    return 'the policy was deleted during the run';
  if (now.spec?.suspend === true) return 'the policy was suspended during the run';
  if (now.spec?.dryRun === true && begun.spec?.dryRun !== true)
    return 'the policy was changed to a dry run during the run';
  return null;
}
