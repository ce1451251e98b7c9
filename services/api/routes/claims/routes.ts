import { Router } from 'express';
import type { ApiDeps } from '../../deps.ts';
import { jsonOrFormBody } from '../../middleware/body.ts';
import { methodNotAllowed } from '../../middleware/error-handler.ts';
import type { Guards } from '../../middleware/guards.ts';
import { claimBody, claimRefusal, makeClaim, showClaim } from './claims.ts';

/** Public: whoever holds a claim link may look, and take what it promises. */
export function claimRoutes(deps: ApiDeps, { limit }: Guards): Router {
  const router = Router();
  router.route('/claim/:token').get(limit.claim, showClaim(deps), claimRefusal).all(methodNotAllowed('GET'));
  router
    .route('/v1/claims')
    .post(limit.claim, jsonOrFormBody, claimBody, makeClaim(deps), claimRefusal)
    .all(methodNotAllowed('POST'));
  return router;
}
