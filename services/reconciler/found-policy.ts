import type { Policy } from './policy.ts';
import type { PolicyProblem } from './policy-checks.ts';
import type { PolicyStatus } from './policy-status.ts';

/** A policy where it is kept, good or bad, with what goes back to that place. */
export type FoundPolicy = {
  name: string;
  /** version of the spec in a cluster; a file has none */
  generation: number | null;
  content: { policy: Policy } | { problems: readonly PolicyProblem[] };
  /** what was published after the last run; null: nothing yet */
  previousStatus: PolicyStatus | null;
  /** once, at the end of a run */
  publish: (status: PolicyStatus) => Promise<void>;
  /** Tells, while a run goes on, that a person takes the policy away or stops it; the reason is a sentence. */
  follow: () => { stopped: AbortSignal; end: () => void };
};

/** Where policies come from. */
export type PolicySource = {
  /** @throws PolicyError when nothing of what is there can be used */
  load: () => Promise<FoundPolicy[]>;
};

/** Of two policies for one queue the first one is in force; the others say so. Pure. */
export function oneForEachQueue(found: readonly FoundPolicy[]): FoundPolicy[] {
  const inForce = new Map<string, string>();
  return found.map((one) => {
    if ('problems' in one.content) return one;
    const { queue } = one.content.policy;
    const first = inForce.get(queue);
    if (first === undefined) inForce.set(queue, one.name);
    const message = `"${queue}" has policy ${first} already; keep one of them`;
    return first === undefined ? one : { ...one, content: { problems: [{ path: 'spec.queue', message }] } };
  });
}
