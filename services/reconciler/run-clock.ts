import type { Clock } from '../runtime/clock.ts';

/**
 * The clock of a run: the database's time at its start, counted on by a clock that never steps. What a run writes is
 * compared with what the database stamped (when a gift died, when a circuit opened); by the clock of a pod that is ten
 * minutes behind, a message that died again would seem to have died before its redrive.
 */
export function countOn(databaseTime: Date, monotonicMs: () => number = () => performance.now()): Clock {
  const startedAtMs = monotonicMs();
  return () => new Date(databaseTime.getTime() + Math.round(monotonicMs() - startedAtMs));
}
