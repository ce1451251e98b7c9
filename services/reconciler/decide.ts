import { guards, heldByCircuit, type Ruling, resumptions } from './built-in-rules.ts';
import type { Circuit } from './circuit.ts';
import { matchRule, type Policy } from './policy.ts';
import type { Judgement, SeenLetter } from './seen-letter.ts';

/** A message this close to the end of its retention is archived: nobody may look before it is gone. */
const archiveBeforeSeconds = 24 * 3_600;

/**
 * One verdict per message, in their order: what an earlier run began, else the first rule of the policy that matches,
 * overruled by the built-in guards. What may be quarantined is decided afterwards (`holdQuarantines`): it depends on all of
 * them. Pure.
 * @param allowance how many messages the circuit lets be redriven
 */
export function decide(
  policy: Policy,
  letters: readonly SeenLetter[],
  circuit: { state: Circuit['state']; allowance: number },
): Judgement[] {
  const rulings = letters.map((letter) => ({ letter, ...ruleOn(policy, letter, circuit.state) }));
  const allowed = chosenForRedrive(rulings, circuit);
  return rulings.map((ruling) => {
    const held = isRedrive(ruling) && !allowed.has(ruling);
    const final = held
      ? { ...ruling, ...heldByCircuit(circuit.state === 'half_open' ? 'half_open' : 'open') }
      : ruling;
    return { ...final, archive: isNearExpiry(final.letter) && !final.deleteOnly };
  });
}

type Ruled = Ruling & { letter: SeenLetter };

/** Probes are taken from those probed least: one that dies whatever the weather must not keep the circuit open for all. */
function chosenForRedrive(
  rulings: readonly Ruled[],
  { state, allowance }: { state: Circuit['state']; allowance: number },
): ReadonlySet<Ruled> {
  const redrives = rulings.filter(isRedrive);
  if (allowance >= redrives.length) return new Set(redrives);
  const inTurn =
    state === 'half_open' ? redrives.toSorted((a, b) => a.letter.pardoned - b.letter.pardoned) : redrives;
  return new Set(inTurn.slice(0, allowance));
}

function isRedrive({ verdict, deleteOnly }: Ruled): boolean {
  return verdict === 'redrive' && !deleteOnly;
}

function ruleOn(policy: Policy, letter: SeenLetter, circuit: Circuit['state']): Ruling {
  const resumed = firstOf(resumptions, (resume) => resume(letter));
  if (resumed !== null) return resumed;
  const ruling = applyPolicy(policy, letter);
  return firstOf(guards, (guard) => guard(ruling, letter, policy, circuit)) ?? ruling;
}

function applyPolicy(policy: Policy, letter: SeenLetter): Ruling {
  const rule = matchRule(policy.rules, { ...letter, type: letter.content?.type ?? null });
  if (rule === null) return { verdict: 'wait', rule: null, why: 'no rule matches', deleteOnly: false };
  return { verdict: rule.verdict, rule: rule.name, why: `rule ${rule.name} matches`, deleteOnly: false };
}

function firstOf<Rule>(rules: readonly Rule[], ask: (rule: Rule) => Ruling | null): Ruling | null {
  for (const rule of rules) {
    const ruling = ask(rule);
    if (ruling !== null) return ruling;
  }
  return null;
}

function isNearExpiry({ expiresInSeconds }: SeenLetter): boolean {
  return expiresInSeconds !== null && expiresInSeconds <= archiveBeforeSeconds;
}
