import type { Kysely } from 'kysely';
import type { Database } from '../database/schema.ts';
import { checkLedger, type Invariant } from '../domain/ledger/invariants.ts';
import type { Metrics } from '../observability/metrics.ts';

/** Reads the ledger's invariants and keeps their gauges. @throws what the database throws */
export type LedgerCheck = () => Promise<Invariant[]>;

/** One reading at a time: whoever asks while one is under way is told what that one finds. */
export function createLedgerCheck(deps: { db: Kysely<Database>; metrics: Metrics }): LedgerCheck {
  let underWay: Promise<Invariant[]> | undefined;
  return () => {
    underWay ??= check(deps).finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
}

async function check({ db, metrics }: { db: Kysely<Database>; metrics: Metrics }): Promise<Invariant[]> {
  try {
    const invariants = await checkLedger(db);
    for (const { name, ok, closedUntil, recountedAt } of invariants) {
      metrics.ledgerInvariant.set({ invariant: name }, ok ? 1 : 0);
      if (closedUntil) metrics.ledgerClosed.set(closedUntil.getTime() / 1_000);
      if (recountedAt) metrics.ledgerRecounted.set({ invariant: name }, recountedAt.getTime() / 1_000);
    }
    return invariants;
  } catch (error) {
    // What is not known is shown as missing: an old 1 would hide a break.
    metrics.ledgerInvariant.reset();
    throw error;
  }
}
