import { z } from 'zod';

/** A `coordination.k8s.io/v1` Lease, as far as we read and write it. */
export type LeaseObject = {
  metadata: { name: string; namespace: string; resourceVersion?: string };
  spec?: LeaseSpec;
};

export type LeaseSpec = {
  holderIdentity?: string | undefined;
  leaseDurationSeconds?: number | undefined;
  acquireTime?: string | undefined;
  renewTime?: string | undefined;
  /** grows with every change of hands */
  leaseTransitions?: number | undefined;
};

/** What means nothing counts as not said; fields that we do not know stay. */
const writtenSpec = z
  .looseObject({
    holderIdentity: z.string().optional().catch(undefined),
    leaseDurationSeconds: z.int().positive().optional().catch(undefined),
    acquireTime: z.string().optional().catch(undefined),
    renewTime: z.string().optional().catch(undefined),
    leaseTransitions: z.int().nonnegative().optional().catch(undefined),
  })
  .catch({});

/**
 * An API server lets nobody write any other; what stands in between may answer what it likes, and of a duration that is no number
 * came a look every millisecond. Pure.
 */
export function readLease({
  spec,
  ...rest
}: {
  metadata: LeaseObject['metadata'];
  spec?: unknown;
}): LeaseObject {
  return spec === undefined ? rest : { ...rest, spec: writtenSpec.parse(spec) };
}

/** What a Lease was when it was seen first, and when, on the clock of `performance.now()`. Undefined: there was none. */
export type Sighting = { spec: LeaseSpec | undefined; atMs: number };

/** What a run does that wants a Lease. `taken`: somebody is alive in it. */
export type LeaseStep = { kind: 'take' } | { kind: 'wait'; ms: number } | { kind: 'taken'; holder: string };

/** How long one lasts that does not say it. */
const unsaidSeconds = 30;

/**
 * A silent holder is waited for so long at most, whatever its Lease says: a person, or a program of another kind, can write 68
 * years into it, and nobody would look at a dead letter in that time. Who lives renews far more often.
 */
const mostSeconds = 60;

/** How often a Lease that nobody seems to renew is looked at. */
const lookEveryMs = 2_000;

/**
 * A Lease that has a holder is free once nobody has renewed it for as long as it says, measured from when it was first seen
 * so, by our own clock: the times in it are those of its holder, whose clock may be wrong by minutes. Pure.
 */
export function stepTowardsLease(first: Sighting, spec: LeaseSpec | undefined, nowMs: number): LeaseStep {
  const { holderIdentity: holder = '', leaseDurationSeconds = unsaidSeconds } = spec ?? {};
  if (holder === '') return { kind: 'take' };
  if (!isSame(first.spec, spec)) return { kind: 'taken', holder };
  const leftMs = first.atMs + Math.min(leaseDurationSeconds, mostSeconds) * 1_000 - nowMs;
  return leftMs <= 0 ? { kind: 'take' } : { kind: 'wait', ms: Math.min(leftMs, lookEveryMs) };
}

/** Whoever writes a Lease changes one of these. */
function isSame(one: LeaseSpec | undefined, other: LeaseSpec | undefined): boolean {
  const fields = ['holderIdentity', 'renewTime', 'leaseTransitions', 'acquireTime'] as const;
  return fields.every((field) => one?.[field] === other?.[field]);
}

/** An API server reads 32 bits. One more, and it would refuse the Lease to every run there is. */
const mostTransitions = 2 ** 31 - 1;

/** What a new holder writes. */
export function takenBy(
  before: LeaseSpec | undefined,
  holder: string,
  durationSeconds: number,
  now: Date,
): LeaseSpec {
  const transitions = before === undefined ? 0 : (before.leaseTransitions ?? 0) + 1;
  return {
    holderIdentity: holder,
    leaseDurationSeconds: durationSeconds,
    acquireTime: microTime(now),
    renewTime: microTime(now),
    leaseTransitions: transitions > mostTransitions ? 0 : transitions,
  };
}

export function renewed(before: LeaseSpec, now: Date): LeaseSpec {
  return { ...before, renewTime: microTime(now) };
}

/** Free at once for the next: without a holder. */
export function givenBack(before: LeaseSpec, now: Date): LeaseSpec {
  const { holderIdentity: _holder, ...rest } = before;
  return { ...rest, leaseDurationSeconds: 1, renewTime: microTime(now) };
}

/** Kubernetes wants six digits of a second. */
function microTime(time: Date): string {
  return time.toISOString().replace('Z', '000Z');
}
