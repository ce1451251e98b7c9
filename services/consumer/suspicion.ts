import type { Failure } from '../domain/failure-classes.ts';
import type { FailureReach } from '../domain/smtp-refusals.ts';

/** How strongly the failures since the last mail that was taken speak for a fault that concerns all of them. */
export type Suspicion = {
  points: number;
  /** deliveries whose failure may be their own: each counts once, however often it is tried */
  seen: ReadonlySet<string>;
};

export const noSuspicion: Suspicion = { points: 0, seen: new Set() };

/**
 * Consumption is paused at 30 points. One mail that is taken wipes them out, so that what one domain refuses never stops
 * the others.
 *
 * | failure speaks of | points | pauses after                      |
 * |-------------------|--------|-----------------------------------|
 * | `all`             | 15     | 2 in a row                        |
 * | `many`            | 10     | 3 in a row, be it of one delivery |
 * | `some`            | 3      | 10 deliveries in a row            |
 * | `one`             | 0      | never                             |
 */
const pointsOf: Readonly<Record<FailureReach, number>> = { all: 15, many: 10, some: 3, one: 0 };
const enough = 30;

export function suspect(before: Suspicion, failure: Pick<Failure, 'reach'>, deliveryId: string): Suspicion {
  const points = pointsOf[failure.reach];
  if (failure.reach !== 'some') return { ...before, points: before.points + points };
  if (before.seen.has(deliveryId)) return before;
  return { points: before.points + points, seen: new Set([...before.seen, deliveryId]) };
}

export function isEnough({ points }: Suspicion): boolean {
  return points >= enough;
}
