import type { Kysely } from 'kysely';
import { closePeriod } from '../../database/queries/close-ledger.ts';
import { recountAccounts } from '../../database/queries/ledger-accounts.ts';
import { recountGifts, recountPeriod } from '../../database/queries/recount-ledger.ts';
import type { Database } from '../../database/schema.ts';

/** A step is a transaction of a fraction of a second, whatever the ledger holds. */
export const ledgerSteps = {
  closeTransfers: 5_000,
  recountGifts: 1_000,
  recountAccounts: 5_000,
  /** between two rounds of the recount */
  restSeconds: 600,
  marginSeconds: 5,
  shortestSeconds: 300,
};

/** Closes what can be closed now. @returns whether there may be more at once */
export async function closeLedger(db: Kysely<Database>, steps = ledgerSteps): Promise<boolean> {
  const { closeTransfers: limit, marginSeconds, shortestSeconds } = steps;
  const options = { limit, marginSeconds, shortestSeconds };
  const closed = await db.transaction().execute((trx) => closePeriod(trx, options));
  return closed >= steps.closeTransfers;
}

/** Counts the next closed period and looks at the next gifts again; round and round. */
export async function recountLedger(db: Kysely<Database>, steps = ledgerSteps): Promise<void> {
  await db.transaction().execute((trx) => recountPeriod(trx, steps.restSeconds));
  await db.transaction().execute((trx) => recountGifts(trx, steps.recountGifts, steps.restSeconds));
}

/** Looks at the balances of the next accounts again; round and round. A step may have to read the open period, so they are few and large. */
export async function recountBalances(db: Kysely<Database>, steps = ledgerSteps): Promise<void> {
  await db.transaction().execute((trx) => recountAccounts(trx, steps.recountAccounts, steps.restSeconds));
}
