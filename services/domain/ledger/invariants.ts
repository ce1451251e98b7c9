import type { Kysely } from 'kysely';
import { accountInvariants } from '../../database/queries/ledger-accounts.ts';
import { giftInvariants } from '../../database/queries/ledger-findings.ts';
import {
  type InvariantName,
  type LedgerReading,
  readLedgerInvariants,
} from '../../database/queries/ledger-invariants.ts';
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
  /** until when what is checked was checked once, and is not looked at by each reading; null: each reading looks at all */
  closedUntil: Date | null;
  /** when everything closed was last counted again to its end; null: not yet, or there is no need */
  recountedAt: Date | null;
};

/** Reads what is open, and what was found in what is closed: quick however old the ledger is. */
export async function checkLedger(db: Kysely<Database>): Promise<Invariant[]> {
  const reading = await readLedgerInvariants(db);
  const rows = [
    ...reading.rows.map((row) => ({
      ...row,
      closedUntil: reading.closedUntil,
      recountedAt: recountedAt(row.name, reading),
    })),
    ...(await readLifecycleInvariants(db)).map((row) => ({ ...row, closedUntil: null, recountedAt: null })),
  ];
  return rows.map(({ broken, ...row }) => ({ ...row, expected: 0, actual: broken, ok: broken === 0 }));
}

const ofGifts: ReadonlySet<string> = new Set(giftInvariants);
const ofAccounts: ReadonlySet<string> = new Set(accountInvariants);

function recountedAt(
  name: InvariantName,
  { periodsRecountedAt, giftsRecountedAt, accountsRecountedAt }: LedgerReading,
): Date | null {
  if (ofAccounts.has(name)) return accountsRecountedAt;
  return ofGifts.has(name) ? giftsRecountedAt : periodsRecountedAt;
}
