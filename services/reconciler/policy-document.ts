import type { Policy } from './policy.ts';
import { checkPolicy, type PolicyProblem } from './policy-checks.ts';
import { explainIssue } from './policy-problems.ts';
import { deadLetterPolicySchema, toPolicy } from './policy-resource.ts';

/** A policy that can't be used. `message` is for a person: every problem with its path and the way out. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
  readonly code = 'policy_invalid';
  readonly problems: readonly PolicyProblem[];

  constructor(source: string, problems: readonly PolicyProblem[]) {
    const lines = problems.map(({ path, message }) => `  ${path}: ${message}`);
    super([`${source} can't be used as a DeadLetterPolicy:`, ...lines].join('\n'));
    this.problems = problems;
  }
}

/** One resource, as a file or a cluster gives it. Pure. */
export function readPolicy(resource: unknown): { policy: Policy } | { problems: PolicyProblem[] } {
  const result = deadLetterPolicySchema.safeParse(resource, { reportInput: true });
  if (!result.success) return { problems: result.error.issues.flatMap(explainIssue) };
  const problems = checkPolicy(result.data.spec);
  return problems.length > 0 ? { problems } : { policy: toPolicy(result.data) };
}

/**
 * The same for an object out of a cluster whose definition may be newer than this program, with fields that it does not
 * know. Outside of the rules they are ignored: the policy works as it did before the upgrade. A rule with an unknown field
 * would match more than it should, and is not understood.
 */
export function readStoredPolicy(resource: unknown): ReturnType<typeof readPolicy> & { ignored: string[] } {
  const copy: unknown = structuredClone(resource);
  const issues = deadLetterPolicySchema.safeParse(copy).error?.issues ?? [];
  const ignored = issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys' || issue.path[1] === 'rules') return [];
    const parent = issue.path.reduce<unknown>((value, key) => Reflect.get(Object(value), key), copy);
    for (const key of issue.keys) Reflect.deleteProperty(Object(parent), key);
    return issue.keys.map((key) => [...issue.path, key].join('.'));
  });
  return { ...readPolicy(copy), ignored };
}
