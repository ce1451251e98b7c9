import { Router } from 'express';
import type { ApiDeps } from '../../deps.ts';
import { permit } from '../../middleware/authenticate.ts';
import { methodNotAllowed } from '../../middleware/error-handler.ts';
import type { Guards } from '../../middleware/guards.ts';
import { deadLettersQuery, listDeadLetters } from './dead-letters.ts';
import { readQueues } from './queues.ts';

const mayReadDeadLetters = permit(['operator'], 'dead_letters:read');
const mayReadQueues = permit(['operator'], 'queues:read');

export function operationsRoutes(deps: ApiDeps, { limit, authenticate }: Guards): Router {
  const router = Router();
  const known = [limit.ip, authenticate, limit.key];
  router
    .route('/v1/dead-letters')
    .get(known, mayReadDeadLetters, deadLettersQuery, listDeadLetters(deps))
    .all(methodNotAllowed('GET'));
  router.route('/v1/queues').get(known, mayReadQueues, readQueues(deps)).all(methodNotAllowed('GET'));
  return router;
}
