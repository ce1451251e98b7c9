import type { Policy } from './policy.ts';
import type { Judgement, SeenLetter } from './seen-letter.ts';

export type Ruling = Pick<Judgement, 'verdict' | 'rule' | 'why' | 'deleteOnly'>;

/** Names that no rule of a policy may take: in the records they say that a built-in rule decided. */
export const builtInRuleNames: ReadonlySet<string> = new Set([
  'other-release',
  'in-delivery',
  'max-redrives',
  'circuit-breaker',
]);

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

/** What overrules a rule of the policy. First match wins. */
export const guards: ((ruling: Ruling, letter: SeenLetter, policy: Policy) => Ruling | null)[] = [
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
  ({ verdict }, { redrives }, { limits }) =>
    verdict === 'redrive' && redrives >= limits.maxRedrives
      ? {
          verdict: 'quarantine',
          rule: 'max-redrives',
          why: `was redriven ${redrives} times (maxRedrives ${limits.maxRedrives})`,
          deleteOnly: false,
        }
      : null,
];

export function heldByCircuit(state: 'open' | 'half_open'): Ruling {
  const why =
    state === 'open'
      ? 'too many redriven messages died again: the circuit is open'
      : 'the circuit is half open and lets a few probes through first';
  return { verdict: 'wait', rule: 'circuit-breaker', why, deleteOnly: false };
}
