import { setTimeout as wait } from 'node:timers/promises';
import type { Kysely } from 'kysely';
import { isBusy } from '../database/errors.ts';
import {
  type IdempotencyAnswer,
  type IdempotencyClaim,
  storedAnswer,
} from '../database/queries/idempotency.ts';
import type { OnceOutcome } from '../database/queries/once.ts';
import type { Database } from '../database/schema.ts';
import { DomainError } from './errors.ts';

/** Whose key it is, and of what request. */
export type AskedKey = Pick<IdempotencyClaim, 'scopeId' | 'key' | 'fingerprint' | 'otherFingerprints'>;
export type Answer = Pick<IdempotencyClaim, 'status' | 'body' | 'location'>;

/** What a change leads to that is asked for under a key: its answer, or the one that the key has already. */
export type Once<T> =
  | { kind: 'done'; answer: Answer; result: T }
  | Exclude<IdempotencyAnswer, { kind: 'fresh' }>;

/** Waiting is done here and not in the database: a sender whose rows are locked uses up no connection of the others. */
const patienceMs = 3_000;
const pauseMs = 50;

/**
 * Reads, decides, and does what was decided in one statement that also takes the key; again, when what was read has changed
 * by then or somebody was in the way.
 *
 * @param attempt.read what is to be decided about; read before the key's answer, so that a refusal which only follows from
 *   what the key has done already is never given
 * @param attempt.act decides, and does it. @throws DomainError where it may not be done
 * @throws DomainError `unavailable` when somebody is in the way for too long
 */
export async function changeOnce<Read, T>(
  db: Kysely<Database>,
  key: AskedKey | null,
  attempt: {
    read: () => Promise<Read>;
    act: (read: Read) => Promise<{ outcome: OnceOutcome; answer: Answer; result: T }>;
  },
): Promise<Once<T>> {
  return await untilDone(async () => {
    const read = await attempt.read();
    const earlier = key === null ? undefined : await storedAnswer(db, key);
    if (earlier !== undefined && earlier.kind !== 'fresh') return earlier;
    const { outcome, ...done } = await attempt.act(read);
    if (outcome === 'running') return { kind: 'in_progress' } as const;
    return outcome === 'done' ? { kind: 'done' as const, ...done } : undefined;
  });
}

/**
 * Repeats `attempt` while it answers undefined, which is: what was read has changed, or was locked.
 * @throws DomainError `unavailable` when that goes on for too long
 */
export async function untilDone<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  const endsAtMs = performance.now() + patienceMs;
  for (let tries = 1; ; tries += 1) {
    const result = await attempt().catch(againWhenBusy);
    if (result !== undefined) return result;
    if (performance.now() >= endsAtMs) throw inTheWay();
    await wait(Math.min(pauseMs * tries, 500) * (0.5 + Math.random()));
  }
}

function againWhenBusy(error: unknown): undefined {
  if (!isBusy(error)) throw error;
}

function inTheWay(): DomainError {
  return new DomainError('unavailable', 'something else is changing the same at this moment; try again', {
    retryAfterSeconds: 2,
  });
}
