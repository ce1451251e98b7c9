import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { describe } from '../docs/describe.ts';
import { pageSchema } from '../page-query.ts';
import { fundingAccountSchema, fundingAccountsQuery } from './funding-accounts.ts';
import { topupBody, topupSchema } from './topups.ts';

const tag = 'Funding';

export const fundingPaths: ZodOpenApiPathsObject = {
  '/v1/funding-accounts': {
    get: describe({
      id: 'listFundingAccounts',
      summary: 'Your prepaid balances, one per currency',
      tag,
      roles: 'sender or admin',
      query: fundingAccountsQuery.schema,
      answers: {
        200: { description: 'A page of funding accounts', schema: pageSchema(fundingAccountSchema) },
      },
      problems: ['validation_failed'],
    }),
  },
  '/v1/topups': {
    post: describe({
      id: 'createTopup',
      summary: 'Credit money that arrived outside',
      tag,
      roles: 'admin',
      body: topupBody.schema,
      example: { value: { amount: 100_000, currency: 'EUR' }, reference: 'Invoice 2027-001' },
      idempotent: true,
      answers: { 201: { description: 'Credited', schema: topupSchema } },
      problems: [],
    }),
  },
};
