import type { GiftState } from '../database/states.ts';
import { builtInRuleNames } from './built-in-rules.ts';
import { durationSeconds } from './duration.ts';
import type { DeadLetterPolicySpec } from './policy-resource.ts';

/** One thing that is wrong with a policy: where, what, and what to do. */
export type PolicyProblem = { path: string; message: string };

type Rule = DeadLetterPolicySpec['rules'][number];

/**
 * What an API server says to a policy, in the Common Expression Language. `of`: what `self` is. The sentence follows the
 * path of that.
 */
export type CelRule = { of: 'spec' | 'rules' | 'rule' | 'name' | 'match'; rule: string; message: string };

/** What fields say about each other, once for this program and once for an API server; a test on a real one compares. */
type Check = {
  /** the first field that has to change */
  field: string;
  explain: (rule: Rule, index: number, spec: DeadLetterPolicySpec) => string | null;
  cel: CelRule;
};

/** What is wrong with a policy whose fields are right each for itself. */
export function checkPolicy(spec: DeadLetterPolicySpec): PolicyProblem[] {
  return spec.rules.flatMap((rule, index) =>
    policyChecks.flatMap(({ field, explain }) => {
      const message = explain(rule, index, spec);
      const path = `spec.rules[${index}]${field === '' ? '' : `.${field}`}`;
      return message === null ? [] : [{ path, message }];
    }),
  );
}

const criteria = [
  'classes',
  'giftStates',
  'types',
  'reasons',
  'minAge',
  'maxAge',
  'minRedrives',
  'maxRedrives',
] as const satisfies readonly (keyof Rule['match'])[];

/** Where a gift needs no message any more. */
const settledStates: ReadonlySet<GiftState> = new Set<GiftState>([
  'delivered',
  'claimed',
  'failed',
  'rejected',
  'cancelled',
  'expired',
]);

export const policyChecks: readonly Check[] = [
  {
    field: 'name',
    explain: ({ name }, index, { rules }) => {
      const first = rules.findIndex((rule) => rule.name === name);
      return first < index
        ? `spec.rules[${first}] is called "${name}" too; give each rule its own name`
        : null;
    },
    cel: {
      of: 'rules',
      rule: 'self.all(r, self.exists_one(s, s.name == r.name))',
      message: 'two rules have the same name; give each rule its own name',
    },
  },
  {
    field: 'name',
    explain: ({ name }) =>
      builtInRuleNames.has(name) ? `"${name}" is the name of a built-in rule; choose another one` : null,
    cel: {
      of: 'name',
      rule: `!(self in ${celList(builtInRuleNames)})`,
      message: 'is the name of a built-in rule; choose another one',
    },
  },
  {
    field: '',
    explain: (_rule, index, { rules }) => {
      const all = rules.findIndex(({ match }) => criteria.every((field) => match[field] === undefined));
      return all >= 0 && all < index
        ? `can never match: spec.rules[${all}] ("${rules[all]?.name}") matches everything; move that one to the end`
        : null;
    },
    cel: {
      of: 'rules',
      rule: `self.size() == 0 || self.filter(r, ${matchesAll('r')}).size() <= (${matchesAll('self[self.size() - 1]')} ? 1 : 0)`,
      message: 'rules after one that matches everything can never match; move that one to the end',
    },
  },
  {
    field: 'match.maxAge',
    explain: ({ match: { minAge, maxAge } }) =>
      minAge !== undefined && maxAge !== undefined && durationSeconds(maxAge) <= durationSeconds(minAge)
        ? `is ${maxAge}, which must be longer than minAge (${minAge}): no message could match`
        : null,
    cel: {
      of: 'match',
      rule: `!has(self.minAge) || !has(self.maxAge) || ${celSeconds('self.maxAge')} > ${celSeconds('self.minAge')}`,
      message: 'maxAge must be longer than minAge: no message could match',
    },
  },
  {
    field: 'match.maxRedrives',
    explain: ({ match: { minRedrives, maxRedrives } }) =>
      minRedrives !== undefined && maxRedrives !== undefined && maxRedrives < minRedrives
        ? `is ${maxRedrives}, which must be at least minRedrives (${minRedrives}): no message could match`
        : null,
    cel: {
      of: 'match',
      rule: '!has(self.minRedrives) || !has(self.maxRedrives) || self.maxRedrives >= self.minRedrives',
      message: 'maxRedrives must be at least minRedrives: no message could match',
    },
  },
  {
    field: 'match.minAge',
    explain: ({ verdict, match: { minAge } }, _index, { circuitBreaker: { window } }) =>
      verdict === 'redrive' && minAge !== undefined && durationSeconds(minAge) >= durationSeconds(window)
        ? `is ${minAge}, which must be shorter than spec.circuitBreaker.window (${window}): a message that died again would be out of the window before it is judged`
        : null,
    cel: {
      of: 'spec',
      rule: `self.rules.all(r, r.verdict != 'redrive' || !has(r.match.minAge) || ${celSeconds('r.match.minAge')} < ${celSeconds('self.circuitBreaker.window')})`,
      message:
        'minAge of a rule that redrives must be shorter than circuitBreaker.window: a message that died again would be out of the window before it is judged',
    },
  },
  {
    field: 'verdict',
    explain: ({ verdict, match: { giftStates, classes } }) => {
      if (verdict !== 'discard') return null;
      if (classes?.every((failureClass) => failureClass === 'poison')) return null;
      const lost = giftStates?.filter((state) => !settledStates.has(state)) ?? ['any state'];
      return lost.length === 0
        ? null
        : `discards messages of gifts in ${lost.join(', ')}, which still need them; limit match.giftStates to ${[...settledStates].join(', ')}, or quarantine`;
    },
    cel: {
      of: 'rule',
      rule: `self.verdict != 'discard' || (has(self.match.classes) && self.match.classes.all(c, c == 'poison')) || (has(self.match.giftStates) && self.match.giftStates.all(s, s in ${celList(settledStates)}))`,
      message: `discards messages of gifts that still need them; limit match.giftStates to ${[...settledStates].join(', ')}, or quarantine`,
    },
  },
];

function celList(values: Iterable<string>): string {
  return `[${[...values].map((value) => `'${value}'`).join(', ')}]`;
}

function matchesAll(rule: string): string {
  return criteria.map((field) => `!has(${rule}.match.${field})`).join(' && ');
}

/** A duration of ours in seconds. CEL's own knows no days. */
function celSeconds(text: string): string {
  const days = `${text}.find('^[0-9]+d')`;
  const rest = `${text}.find('[0-9hms]*$')`;
  return `((${days} == '' ? 0 : int(${days}.replace('d', '')) * 86400) + (${rest} == '' ? 0 : duration(${rest}).getSeconds()))`;
}
