import { type RequestHandler, Router } from 'express';
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
  router.get('/favicon.ico', noIcon);
  return router;
}

/** Browsers ask for it on every page; a 404 would stand as an error in the console of whoever opens a claim link. */
const noIcon: RequestHandler = (_request, response) => {
  response.status(204).set('Cache-Control', 'public, max-age=86400').end();
};
