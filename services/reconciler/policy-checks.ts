import type { GiftState } from '../database/states.ts';
import { builtInRuleNames } from './built-in-rules.ts';
import { durationSeconds } from './duration.ts';
import type { DeadLetterPolicySpec } from './policy-resource.ts';

/** One thing that is wrong with a policy: where, what, and what to do. */
export type PolicyProblem = { path: string; message: string };

type Rule = DeadLetterPolicySpec['rules'][number];
type Check = (rule: Rule, index: number, spec: DeadLetterPolicySpec) => string | null;

/** What fields say about each other. Each finding names the first field that has to change. */
export function checkPolicy(spec: DeadLetterPolicySpec): PolicyProblem[] {
  return spec.rules.flatMap((rule, index) =>
    ruleChecks.flatMap(([field, check]) => {
      const message = check(rule, index, spec);
      const path = `spec.rules[${index}]${field === '' ? '' : `.${field}`}`;
      return message === null ? [] : [{ path, message }];
    }),
  );
}

const ruleChecks: [field: string, check: Check][] = [
  [
    'name',
    ({ name }, index, { rules }) => {
      const first = rules.findIndex((rule) => rule.name === name);
      return first < index
        ? `spec.rules[${first}] is called "${name}" too; give each rule its own name`
        : null;
    },
  ],
  [
    'name',
    ({ name }) =>
      builtInRuleNames.has(name) ? `"${name}" is the name of a built-in rule; choose another one` : null,
  ],
  [
    '',
    (_rule, index, { rules }) => {
      const all = rules.findIndex(({ match }) => Object.values(match).every((value) => value === undefined));
      return all >= 0 && all < index
        ? `can never match: spec.rules[${all}] ("${rules[all]?.name}") matches everything; move that one to the end`
        : null;
    },
  ],
  [
    'match.maxAge',
    ({ match: { minAge, maxAge } }) =>
      minAge !== undefined && maxAge !== undefined && durationSeconds(maxAge) <= durationSeconds(minAge)
        ? `is ${maxAge}, which must be longer than minAge (${minAge}): no message could match`
        : null,
  ],
  [
    'match.maxRedrives',
    ({ match: { minRedrives, maxRedrives } }) =>
      minRedrives !== undefined && maxRedrives !== undefined && maxRedrives < minRedrives
        ? `is ${maxRedrives}, which must be at least minRedrives (${minRedrives}): no message could match`
        : null,
  ],
  [
    'match.minAge',
    ({ verdict, match: { minAge } }, _index, { circuitBreaker: { window } }) =>
      verdict === 'redrive' && minAge !== undefined && durationSeconds(minAge) >= durationSeconds(window)
        ? `is ${minAge}, which must be shorter than spec.circuitBreaker.window (${window}): a message that died again would be out of the window before it is judged`
        : null,
  ],
  [
    'verdict',
    ({ verdict, match: { giftStates, classes } }) => {
      if (verdict !== 'discard') return null;
      if (classes?.every((failureClass) => failureClass === 'poison')) return null;
      const lost = giftStates?.filter((state) => !settledStates.has(state)) ?? ['any state'];
      return lost.length === 0
        ? null
        : `discards messages of gifts in ${lost.join(', ')}, which still need them; limit match.giftStates to ${[...settledStates].join(', ')}, or quarantine`;
    },
  ],
];

/** Where a gift needs no message any more. */
const settledStates: ReadonlySet<GiftState> = new Set<GiftState>([
  'delivered',
  'claimed',
  'failed',
  'rejected',
  'cancelled',
  'expired',
]);
