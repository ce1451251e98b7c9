import { type RequestHandler, Router } from 'express';
import { z } from 'zod';
import { checkReadiness } from '../../../runtime/admin-server.ts';
import type { ApiDeps } from '../../deps.ts';
import { methodNotAllowed } from '../../middleware/error-handler.ts';

export const healthSchema = z.object({ status: z.literal('ok') }).meta({ id: 'Health' });

export const readinessSchema = z
  .object({ status: z.enum(['ok', 'unavailable']), checks: z.record(z.string(), z.boolean()) })
  .meta({ id: 'Readiness' });

/** Without limits or keys: whoever asks is a machine that decides about this process. */
export function healthRoutes(deps: ApiDeps): Router {
  const router = Router();
  router.route('/healthz').get(alive).all(methodNotAllowed('GET'));
  router.route('/readyz').get(ready(deps)).all(methodNotAllowed('GET'));
  return router;
}

const alive: RequestHandler = (_request, response) => {
  response.set('Cache-Control', 'no-store').json({ status: 'ok' });
};

/** Says which check fails and not why: that stands in the log and on the port of the metrics. */
function ready(deps: ApiDeps): RequestHandler {
  return async (_request, response) => {
    const { ok, checks } = await checkReadiness(deps);
    const answers = Object.fromEntries(Object.entries(checks).map(([name, check]) => [name, check.ok]));
    response
      .status(ok ? 200 : 503)
      .set('Cache-Control', 'no-store')
      .json({ status: ok ? 'ok' : 'unavailable', checks: answers });
  };
}
