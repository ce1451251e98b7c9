import { Router } from 'express';
import type { ApiDeps } from '../../deps.ts';
import { permit } from '../../middleware/authenticate.ts';
import { jsonBody } from '../../middleware/body.ts';
import { earlierAnswerBeforeRefusal } from '../../middleware/earlier-answer.ts';
import { methodNotAllowed } from '../../middleware/error-handler.ts';
import type { Guards } from '../../middleware/guards.ts';
import { requireIdempotencyKey } from '../../middleware/idempotency.ts';
import { fundingAccountsQuery, listOwnFundingAccounts } from './funding-accounts.ts';
import { createTopup, topupBody } from './topups.ts';

const mayRead = permit(['sender', 'admin'], 'funding:read');
const mayTopUp = permit(['admin'], 'topups:write');

export function fundingRoutes(deps: ApiDeps, { limit, authenticate }: Guards): Router {
  const router = Router();
  const known = [limit.ip, authenticate, limit.key];
  router
    .route('/v1/funding-accounts')
    .get(known, mayRead, fundingAccountsQuery, listOwnFundingAccounts(deps))
    .all(methodNotAllowed('GET'));
  router
    .route('/v1/topups')
    .post(
      known,
      mayTopUp,
      jsonBody,
      topupBody,
      earlierAnswerBeforeRefusal(deps),
      requireIdempotencyKey,
      createTopup(deps),
    )
    .all(methodNotAllowed('POST'));
  return router;
}
