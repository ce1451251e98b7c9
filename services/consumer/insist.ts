import { setTimeout as wait } from 'node:timers/promises';
import { isProvenRefusal } from '../database/errors.ts';
import { fullJitterMs } from '../queue/backoff.ts';

export type Insistence = {
  random: () => number;
  /** told of each try that has to be repeated */
  onWait?: (error: unknown, attempt: number) => void;
};

/**
 * Asks the database until it answers with something else than `locked`. Everything but a proven refusal of this very row is
 * waited for until `signal` aborts, whatever the database or the network calls it.
 * @throws the refusal, or what the last try failed by
 */
export async function insist<T extends string>(
  { random, onWait }: Insistence,
  ask: () => Promise<T | 'locked'>,
  signal: AbortSignal,
): Promise<Exclude<T, 'locked'>> {
  for (let attempt = 1; ; attempt += 1) {
    let error: unknown;
    try {
      const answer = await ask();
      if (answer !== 'locked') return answer as Exclude<T, 'locked'>;
      error = new RowLockedError();
    } catch (cause) {
      if (isProvenRefusal(cause)) throw cause;
      error = cause;
    }
    onWait?.(error, attempt);
    const pauseMs = 50 + fullJitterMs({ attempt, baseMs: 100, capMs: 2_000, random });
    if (!(await pausedFor(pauseMs, signal))) throw error;
  }
}

/** Somebody else holds the row. */
class RowLockedError extends Error {
  readonly code = 'gift_locked';

  constructor() {
    super('the gift is locked by another transaction');
    this.name = 'RowLockedError';
  }
}

/** False when `signal` was or became aborted. */
async function pausedFor(pauseMs: number, signal: AbortSignal): Promise<boolean> {
  try {
    await wait(pauseMs, undefined, { signal });
    return true;
  } catch {
    return false;
  }
}
