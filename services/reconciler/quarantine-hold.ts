import {
  heldAsTooYoung,
  heldByCircuit,
  heldByQuarantine,
  quarantineRules,
  type Ruling,
} from './built-in-rules.ts';
import type { Circuit } from './circuit.ts';
import type { Policy } from './policy.ts';
import type { QuarantineBreaker } from './quarantine-breaker.ts';
import type { Judgement } from './seen-letter.ts';

/** What a person lets happen to everything that the quarantine breaker, or `maxRedrives`, holds. */
export type Release = 'quarantine' | 'redrive';

/** Keys of the messages that would be quarantined for what they are: the rate of these is what the breaker watches. */
export function candidateKeys(judgements: readonly Judgement[]): ReadonlySet<string> {
  return new Set(judgements.filter(isWatched).map(({ letter }) => letter.key));
}

/**
 * Judgements with their quarantines held back, where they are: by the age of the letter, then by the breaker. With a
 * release, what the breaker would hold goes the way that the person chose. Pure.
 */
export function holdQuarantines(
  judgements: readonly Judgement[],
  policy: Policy,
  state: { breaker: QuarantineBreaker['state']; circuit: Circuit['state']; release: Release | null },
): Judgement[] {
  return judgements.map((judgement) => {
    const held = hold(judgement, policy, state);
    return held === null ? judgement : { ...judgement, ...held };
  });
}

function hold(
  judgement: Judgement,
  policy: Policy,
  { breaker, circuit, release }: Parameters<typeof holdQuarantines>[2],
): Ruling | null {
  const { letter, verdict, rule } = judgement;
  const isStuck = verdict === 'wait' && rule === 'max-redrives';
  if (release === 'redrive' && (isStuck || isWatched(judgement))) return released('redrive', circuit);
  if (release === 'quarantine' && isStuck) return released('quarantine', circuit);
  if (!isWatched(judgement)) return null;
  if (letter.deadForSeconds < policy.limits.quarantineMinAgeSeconds) return heldAsTooYoung(letter, policy);
  return breaker === 'tripped' ? heldByQuarantine : null;
}

function released(verdict: Release, circuit: Circuit['state']): Ruling {
  if (verdict === 'redrive' && circuit !== 'closed') return heldByCircuit(circuit);
  return { verdict, rule: quarantineRules.released, why: 'a person has released it', deleteOnly: false };
}

/**
 * It would be charged with its death now. One that an earlier run began is finished: its gift has failed already. Nobody's
 * money hangs on what can't be read: it is kept for a person in any case.
 */
function isWatched({ verdict, deleteOnly, letter }: Judgement): boolean {
  return (
    verdict === 'quarantine' &&
    !deleteOnly &&
    letter.earlier?.verdict !== 'quarantine' &&
    letter.class !== 'poison'
  );
}
