import type { RequestHandler } from 'express';
import { z } from 'zod';
import { type FundingAccount, listFundingAccounts } from '../../../domain/payments/funding-accounts.ts';
import type { ApiDeps } from '../../deps.ts';
import { principalOf } from '../../middleware/authenticate.ts';
import { query } from '../../middleware/validate.ts';
import { pagedQuery, sendPage, toPageRequest } from '../page-query.ts';

export const fundingAccountsQuery = query(pagedQuery('fac', {}));

export const fundingAccountSchema = z
  .object({
    id: z.string(),
    object: z.literal('funding_account'),
    currency: z.string(),
    balance: z.object({
      available: z.int().meta({ description: 'What new gifts may use, in minor units' }),
      reserved: z.int().meta({ description: 'Promised to gifts that are under way, in minor units' }),
    }),
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'FundingAccount' });

export function listOwnFundingAccounts({ reads }: ApiDeps): RequestHandler {
  return async (request, response) => {
    const page = toPageRequest(fundingAccountsQuery.of(response));
    const { accounts, ...rest } = await listFundingAccounts(reads, principalOf(response).senderId, page);
    sendPage(request, response, { ...rest, data: accounts.map(fundingAccountResource) });
  };
}

function fundingAccountResource(account: FundingAccount): z.output<typeof fundingAccountSchema> {
  return {
    id: account.id,
    object: 'funding_account',
    currency: account.currency,
    balance: { available: account.availableMinor, reserved: account.reservedMinor },
    created_at: account.createdAt.toISOString(),
  };
}
