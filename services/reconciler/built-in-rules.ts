import type { Circuit } from './circuit.ts';
import { formatDuration } from './duration.ts';
import type { Policy } from './policy.ts';
import type { Judgement, SeenLetter } from './seen-letter.ts';
import { isItsOwnFault } from './whose-fault.ts';

export type Ruling = Pick<Judgement, 'verdict' | 'rule' | 'why' | 'deleteOnly'>;

/** Names that no rule of a policy may take: in the records they say that a built-in rule decided. */
export const builtInRuleNames: ReadonlySet<string> = new Set([
  'other-release',
  'in-delivery',
  'max-redrives',
  'circuit-breaker',
]);

/** Came later than the first policies: named as no rule of a policy can be, so that each of those stays valid. */
export const quarantineRules = {
  tooYoung: 'quarantine:too-young',
  breaker: 'quarantine:breaker',
  released: 'quarantine:released',
} as const;

/** What an interrupted run began is finished, whatever the policy says by now. First match wins. */
export const resumptions: ((letter: SeenLetter) => Ruling | null)[] = [
  ({ earlier }) =>
    earlier?.applied
      ? { ...earlier, why: `was applied by an earlier run; only its delete is missing`, deleteOnly: true }
      : null,
  // Its gift may have been failed and its money returned already: it must not be redriven now.
  ({ earlier }) =>
    earlier?.verdict === 'quarantine'
      ? { ...earlier, why: 'an earlier run began to quarantine it', deleteOnly: false }
      : null,
];

type Guard = (ruling: Ruling, letter: SeenLetter, policy: Policy, circuit: Circuit['state']) => Ruling | null;

/** What overrules a rule of the policy. First match wins. */
export const guards: Guard[] = [
  // While releases run side by side nobody may judge what only the other one knows. A rule that names the reason is a person's word.
  ({ verdict, rule }, { foreign, reason }, { rules }) =>
    foreign &&
    verdict !== 'wait' &&
    !rules.some(({ name, match }) => name === rule && match.reasons?.includes(reason))
      ? {
          verdict: 'wait',
          rule: 'other-release',
          why: `only another release knows what it asks for (${reason})`,
          deleteOnly: false,
        }
      : null,
  // To fail a gift under a worker that is sending its mail would hand out a claim link to nothing.
  ({ verdict }, { leased }) =>
    leased && (verdict === 'redrive' || verdict === 'quarantine')
      ? {
          verdict: 'wait',
          rule: 'in-delivery',
          why: 'a worker is delivering its gift now',
          deleteOnly: false,
        }
      : null,
  // Never while the circuit is not closed: what dies then says nothing about the gift that died.
  ({ verdict }, letter, { limits }, circuit) => {
    if (verdict !== 'redrive' || letter.redrives < limits.maxRedrives || circuit !== 'closed') return null;
    const often = `was redriven ${letter.redrives} times (maxRedrives ${limits.maxRedrives})`;
    return isItsOwnFault(letter)
      ? { verdict: 'quarantine', rule: 'max-redrives', why: often, deleteOnly: false }
      : {
          verdict: 'wait',
          rule: 'max-redrives',
          why: `${often}, and not for its own fault`,
          deleteOnly: false,
        };
  },
];

export function heldByCircuit(state: 'open' | 'half_open'): Ruling {
  const why =
    state === 'open'
      ? 'too many redriven messages died again: the circuit is open'
      : 'the circuit is half open and lets a few probes through first';
  return { verdict: 'wait', rule: 'circuit-breaker', why, deleteOnly: false };
}

/** It has died only just now: somebody may find out in time that it did not die of itself. */
export function heldAsTooYoung({ deadForSeconds }: SeenLetter, { limits }: Policy): Ruling {
  const why = `died ${formatDuration(deadForSeconds)} ago (quarantineMinAge ${formatDuration(limits.quarantineMinAgeSeconds)})`;
  return { verdict: 'wait', rule: quarantineRules.tooYoung, why, deleteOnly: false };
}

export const heldByQuarantine: Ruling = {
  verdict: 'wait',
  rule: quarantineRules.breaker,
  why: 'so many died that the fault is hardly their own: a person has to look',
  deleteOnly: false,
};
