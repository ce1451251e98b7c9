import type { Policy } from './policy.ts';

/**
 * Whether gifts may be failed. `tripped`: so many were about to be that the fault is more likely ours, or a peer's, than
 * theirs. It stays so until a person has looked: the evidence fades by itself, and the gifts would be failed after all.
 */
export type QuarantineBreaker = { state: 'closed' | 'tripped'; since: Date };

export type QuarantineEvidence = {
  /** quarantined since {@link quarantinesSince}, with those that this run is about to quarantine */
  dead: number;
  /** of `dead`, those that wait for their quarantine now */
  candidates: number;
  /** gifts that arrived meanwhile; counted no further than it takes to judge */
  delivered: number;
};

export const untriedQuarantine: QuarantineBreaker = { state: 'closed', since: new Date(0) };

/** Quarantines before this time tell nothing: they left the window, or a person has released the breaker since. */
export function quarantinesSince(
  { since }: QuarantineBreaker,
  { windowSeconds }: Policy['quarantineBreaker'],
  now: Date,
): Date {
  return new Date(Math.max(since.getTime(), now.getTime() - windowSeconds * 1_000));
}

/** How many arrived gifts keep the breaker closed beside so many dead ones. */
export function deliveriesThatExcuse(dead: number, { maxRatio }: Policy['quarantineBreaker']): number {
  return maxRatio === 0 ? Number.MAX_SAFE_INTEGER : Math.ceil((dead * (1 - maxRatio)) / maxRatio);
}

/** The breaker after what is known now. Pure. */
export function judgeQuarantine(
  breaker: QuarantineBreaker,
  evidence: QuarantineEvidence,
  limits: Policy['quarantineBreaker'],
  { now, scanComplete }: { now: Date; scanComplete: boolean },
): QuarantineBreaker {
  if (breaker.state === 'closed') return trips(evidence, limits) ? { state: 'tripped', since: now } : breaker;
  const windowIsOver = now.getTime() - breaker.since.getTime() >= limits.windowSeconds * 1_000;
  // Nothing is held any more: somebody has dealt with all of it.
  const nothingHeld = scanComplete && evidence.candidates === 0;
  return windowIsOver && nothingHeld ? { state: 'closed', since: now } : breaker;
}

function trips({ dead, delivered }: QuarantineEvidence, limits: Policy['quarantineBreaker']): boolean {
  if (limits.maxCount !== null && dead > limits.maxCount) return true;
  return dead >= limits.minSamples && dead / (dead + delivered) > limits.maxRatio;
}
