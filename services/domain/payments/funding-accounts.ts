import type { Kysely } from 'kysely';
import { type FundingAccountRow, listFundingAccountRows } from '../../database/queries/funding.ts';
import type { Page, PageRequest } from '../../database/queries/page.ts';
import type { Database } from '../../database/schema.ts';
import { type FundingAccountId, fromUuid, type SenderId, toUuid } from '../ids.ts';

/** A sender's prepaid balance in one currency, in minor units. */
export type FundingAccount = {
  id: FundingAccountId;
  senderId: SenderId;
  currency: string;
  availableMinor: number;
  /** promised to gifts that are under way */
  reservedMinor: number;
  createdAt: Date;
};

export async function listFundingAccounts(
  db: Kysely<Database>,
  senderId: SenderId,
  page: PageRequest,
): Promise<Omit<Page<unknown>, 'rows'> & { accounts: FundingAccount[] }> {
  const { rows, ...rest } = await listFundingAccountRows(db, toUuid(senderId), page);
  return { ...rest, accounts: rows.map(toFundingAccount) };
}

function toFundingAccount(row: FundingAccountRow): FundingAccount {
  return {
    id: fromUuid('fac', row.id),
    senderId: fromUuid('sen', row.sender_id),
    currency: row.currency,
    availableMinor: row.available_minor,
    reservedMinor: row.reserved_minor,
    createdAt: row.created_at,
  };
}
