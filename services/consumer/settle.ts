import { setTimeout as wait } from 'node:timers/promises';
import type { Kysely } from 'kysely';
import { isTransientDatabaseError } from '../database/errors.ts';
import type { Database } from '../database/schema.ts';
import { type Settlement, settleDeliveries } from '../domain/deliveries/settle-deliveries.ts';
import { fullJitterMs } from '../queue/backoff.ts';
import { Batcher } from '../queue/batcher.ts';
import { togetherOrAlone } from './together-or-alone.ts';

/** Whether an outcome is in the database: only what was recorded may be acknowledged to the queue. */
export type Recorded =
  | { kind: 'recorded' }
  /** another worker has taken the delivery over, and its outcome counts */
  | { kind: 'overtaken' }
  | { kind: 'failed'; error: unknown };

export type Settle = ((settlement: Settlement, signal: AbortSignal) => Promise<Recorded>) & {
  close: () => Promise<void>;
};

export type SettleDeps = { db: Kysely<Database>; random: () => number };

/**
 * Settles for many messages at once: those whose mails end within `maxDelayMs` share one statement. While the database is
 * away it keeps trying until `signal` aborts: the mail is out, and the attempt that this spares would send it again.
 */
export function createSettle(deps: SettleDeps, options: { maxSize: number; maxDelayMs: number }): Settle {
  const batcher = new Batcher<Settlement, boolean>({
    ...options,
    run: (settlements) => togetherOrAlone(settlements, (some) => recordAll(deps.db, some)),
  });
  const settle = async (settlement: Settlement, signal: AbortSignal): Promise<Recorded> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return { kind: (await batcher.add(settlement)) ? 'recorded' : 'overtaken' };
      } catch (error) {
        if (!isTransientDatabaseError(error)) return { kind: 'failed', error };
        const pauseMs = 50 + fullJitterMs({ attempt, baseMs: 100, capMs: 2_000, random: deps.random });
        if (!(await pausedFor(pauseMs, signal))) return { kind: 'failed', error };
      }
    }
  };
  return Object.assign(settle, { close: () => batcher.close() });
}

async function recordAll(db: Kysely<Database>, settlements: Settlement[]): Promise<boolean[]> {
  const recorded = await db.transaction().execute((trx) => settleDeliveries(trx, settlements));
  return settlements.map(({ deliveryId }) => recorded.has(deliveryId));
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
