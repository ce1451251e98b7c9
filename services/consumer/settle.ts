import type { Kysely } from 'kysely';
import type { Database } from '../database/schema.ts';
import { type Settled, type Settlement, settleDeliveries } from '../domain/deliveries/settle-deliveries.ts';
import { Batcher } from '../queue/batcher.ts';
import { type Insistence, insist } from './insist.ts';
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

export type SettleDeps = { db: Kysely<Database> } & Insistence;

/**
 * Settles for many messages at once: those whose mails end within `maxDelayMs` share one statement. Everything but a proven
 * refusal of this very row is waited for until `signal` aborts, whatever the database or the network calls it: the mail is
 * out, and the attempt that this spares would send it again.
 */
export function createSettle(deps: SettleDeps, options: { maxSize: number; maxDelayMs: number }): Settle {
  const batcher = new Batcher<Settlement, Settled>({
    ...options,
    run: (settlements) => togetherOrAlone(settlements, (some) => recordAll(deps.db, some)),
  });
  const settle = async (settlement: Settlement, signal: AbortSignal): Promise<Recorded> => {
    try {
      return { kind: await insist(deps, () => batcher.add(settlement), signal) };
    } catch (error) {
      return { kind: 'failed', error };
    }
  };
  return Object.assign(settle, { close: () => batcher.close() });
}

/** One statement that is its own transaction: what it locks, it lets go of without a word from this process. */
async function recordAll(db: Kysely<Database>, settlements: Settlement[]): Promise<Settled[]> {
  const settled = await settleDeliveries(db, settlements);
  return settlements.map(({ deliveryId }) => settled.get(deliveryId) ?? 'overtaken');
}
