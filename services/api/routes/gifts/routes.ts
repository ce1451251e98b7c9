import { Router } from 'express';
import type { ApiDeps } from '../../deps.ts';
import { permit } from '../../middleware/authenticate.ts';
import { jsonBody } from '../../middleware/body.ts';
import { earlierAnswerBeforeRefusal } from '../../middleware/earlier-answer.ts';
import { methodNotAllowed } from '../../middleware/error-handler.ts';
import type { Guards } from '../../middleware/guards.ts';
import { refuseUnusableKey, requireIdempotencyKey } from '../../middleware/idempotency.ts';
import { acceptGift, giftBody } from './accept-gift.ts';
import { cancelOwnGift, resendOwnGift } from './change-gift.ts';
import { acceptQuery, dryRun } from './dry-run.ts';
import { takesNoFields } from './no-fields.ts';
import { giftParams, giftsQuery, listOwnGifts, readGift, readGiftTimeline } from './read-gifts.ts';

const mayRead = permit(['sender'], 'gifts:read');
const mayWrite = permit(['sender'], 'gifts:write');

export function giftRoutes(deps: ApiDeps, { limit, authenticate }: Guards): Router {
  const router = Router();
  const known = [limit.ip, authenticate, limit.key];
  router
    .route('/v1/gifts')
    .post(
      known,
      mayWrite,
      jsonBody,
      acceptQuery,
      giftBody,
      earlierAnswerBeforeRefusal(deps),
      refuseUnusableKey,
      dryRun(deps),
      requireIdempotencyKey,
      acceptGift(deps),
    )
    .get(known, mayRead, giftsQuery, listOwnGifts(deps))
    .all(methodNotAllowed('GET, POST'));
  router.route('/v1/gifts/:id').get(known, mayRead, giftParams, readGift(deps)).all(methodNotAllowed('GET'));
  router
    .route('/v1/gifts/:id/timeline')
    .get(known, mayRead, giftParams, readGiftTimeline(deps))
    .all(methodNotAllowed('GET'));
  router
    .route('/v1/gifts/:id/cancel')
    .post(known, mayWrite, giftParams, takesNoFields(deps), requireIdempotencyKey, cancelOwnGift(deps))
    .all(methodNotAllowed('POST'));
  router
    .route('/v1/gifts/:id/resend')
    .post(known, mayWrite, giftParams, takesNoFields(deps), requireIdempotencyKey, resendOwnGift(deps))
    .all(methodNotAllowed('POST'));
  return router;
}
