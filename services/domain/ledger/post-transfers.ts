import type { Transaction } from 'kysely';
import { type AccountInput, ensureAccounts, insertTransfers } from '../../database/queries/post-transfers.ts';
import type { Database } from '../../database/schema.ts';
import type { TransferKind } from '../../database/states.ts';
import { ownAccountKinds, transferRules } from '../../database/transfer-kinds.ts';
import { newUuid } from '../ids.ts';

/** A movement of money. What it is about, and between which accounts it goes, follows from its kind. */
export type Transfer = {
  kind: TransferKind;
  /** of the gift, top-up, voucher or funding account that the kind is about */
  subjectId: string;
  /** what caused it: the redemption, the dispute; null where the kind is caused by its subject itself */
  causeId: string | null;
  /** whose money it is */
  fundingAccountId: string;
  currency: string;
  amountMinor: number;
};

/**
 * Posts transfers, in one statement. One that was posted before for the same cause is not posted again. The states of
 * their subjects must fit when the transaction commits: the caller changes both.
 *
 * @returns those of the given transfers that are new
 * @throws the database's refusal: `ledger_accounts_balance_not_negative`, `…_owing_not_positive`, `…_money_fits_…`
 */
export async function postTransfers(
  trx: Transaction<Database>,
  transfers: readonly Transfer[],
): Promise<Transfer[]> {
  if (transfers.length === 0) return [];
  await ensureAccounts(trx, accountsOf(transfers));
  const inputs = transfers.map((transfer) => ({ transfer, row: toInput(transfer) }));
  const posted = await insertTransfers(
    trx,
    inputs.map(({ row }) => row),
  );
  return inputs.filter(({ row }) => posted.has(row.id)).map(({ transfer }) => transfer);
}

function toInput({ kind, subjectId, causeId, fundingAccountId, currency, amountMinor }: Transfer) {
  return {
    id: newUuid(),
    kind,
    subject_kind: transferRules[kind].subject,
    subject_id: subjectId,
    cause_id: causeId,
    funding_account_id: fundingAccountId,
    currency,
    amount_minor: amountMinor,
  };
}

function accountsOf(transfers: readonly Transfer[]): AccountInput[] {
  const accounts = transfers.flatMap(({ kind, fundingAccountId, currency }) =>
    [transferRules[kind].from, transferRules[kind].to].map((account) => ({
      id: newUuid(),
      kind: account,
      funding_account_id: ownAccountKinds.includes(account) ? fundingAccountId : null,
      currency,
    })),
  );
  const purpose = (account: AccountInput) =>
    [account.kind, account.funding_account_id, account.currency].join();
  return [...new Map(accounts.map((account) => [purpose(account), account])).values()];
}
