import type { Policy } from './policy.ts';

/**
 * Whether redriving helps. `closed`: it does. `open`: too much of it died again, nothing is redriven. `half_open`: the
 * window is over, a few probes go out, and what becomes of them decides.
 */
export type Circuit = { state: 'closed' | 'open' | 'half_open'; since: Date };

/** What became of messages redriven since {@link evidenceSince}. */
export type CircuitEvidence = {
  samples: number;
  /** came back as dead letters */
  failures: number;
  /** reached their gift's recipient, or the gift ended otherwise */
  successes: number;
  lastRedriveAt: Date | null;
};

/** Redrives that a half-open circuit lets through before any of them has told something. */
export const probeCount = 5;

export const untriedCircuit: Circuit = { state: 'closed', since: new Date(0) };

/** An open circuit turns half-open when its window is over. */
export function ageCircuit(circuit: Circuit, breaker: Policy['circuitBreaker'], now: Date): Circuit {
  const over = now.getTime() - circuit.since.getTime() >= breaker.windowSeconds * 1_000;
  return circuit.state === 'open' && over ? { state: 'half_open', since: now } : circuit;
}

/** Redrives before this time tell nothing (any more): they left the window, or preceded the present state. */
export function evidenceSince(circuit: Circuit, breaker: Policy['circuitBreaker'], now: Date): Date {
  if (circuit.state !== 'closed') return circuit.since;
  return new Date(Math.max(circuit.since.getTime(), now.getTime() - breaker.windowSeconds * 1_000));
}

/** The circuit after what is known now. Pure. */
export function judgeCircuit(
  circuit: Circuit,
  evidence: CircuitEvidence,
  breaker: Policy['circuitBreaker'],
  now: Date,
): Circuit {
  switch (circuit.state) {
    case 'open':
      return circuit;
    case 'closed': {
      const judged = evidence.samples >= breaker.minSamples;
      const broken = judged && evidence.failures / evidence.samples > breaker.maxFailureRatio;
      return broken ? { state: 'open', since: now } : circuit;
    }
    case 'half_open':
      if (evidence.failures > 0) return { state: 'open', since: now };
      return probesPassed(evidence, breaker, now) ? { state: 'closed', since: now } : circuit;
  }
}

/** How many messages may be redriven in this state. */
export function redriveAllowance(circuit: Circuit, evidence: CircuitEvidence): number {
  if (circuit.state === 'closed') return Number.POSITIVE_INFINITY;
  return circuit.state === 'open' ? 0 : Math.max(0, probeCount - evidence.samples);
}

/** All arrived, or none has died within a whole window. */
function probesPassed(
  { samples, successes, lastRedriveAt }: CircuitEvidence,
  breaker: Policy['circuitBreaker'],
  now: Date,
): boolean {
  if (samples === 0 || lastRedriveAt === null) return false;
  return successes >= samples || now.getTime() - lastRedriveAt.getTime() >= breaker.windowSeconds * 1_000;
}
