import type { Kysely } from 'kysely';
import { type InvariantName, readLedgerInvariants } from '../../database/queries/ledger-invariants.ts';
import {
  type LifecycleInvariantName,
  readLifecycleInvariants,
} from '../../database/queries/lifecycle-invariants.ts';
import type { Database } from '../../database/schema.ts';

/** A statement about the ledger that is always true, and what was found when it was looked at. */
export type Invariant = {
  name: InvariantName | LifecycleInvariantName;
  meaning: string;
  expected: 0;
  actual: number;
  ok: boolean;
};

/** Reads every row of the ledger: for auditors, not for every minute. */
export async function checkLedger(db: Kysely<Database>): Promise<Invariant[]> {
  const rows = [...(await readLedgerInvariants(db)), ...(await readLifecycleInvariants(db))];
  return rows.map(({ name, meaning, broken }) => ({
    name,
    meaning,
    expected: 0,
    actual: broken,
    ok: broken === 0,
  }));
}
