import { type RequestHandler, Router } from 'express';
import { z } from 'zod';
import type { ApiDeps } from '../../deps.ts';
import { permit } from '../../middleware/authenticate.ts';
import { methodNotAllowed } from '../../middleware/error-handler.ts';
import type { Guards } from '../../middleware/guards.ts';

const mayAudit = permit(['auditor'], 'ledger:read');

export const invariantsSchema = z
  .object({
    ok: z.boolean().meta({ description: 'Whether all of them hold' }),
    data: z.array(
      z.object({
        name: z.string(),
        meaning: z.string(),
        expected: z.int(),
        actual: z.int(),
        ok: z.boolean(),
      }),
    ),
    checked_at: z.iso.datetime(),
  })
  .meta({ id: 'LedgerInvariants' });

export function ledgerRoutes(deps: ApiDeps, { limit, authenticate }: Guards): Router {
  const router = Router();
  router
    .route('/v1/ledger/invariants')
    .get(limit.ip, authenticate, limit.key, mayAudit, readInvariants(deps))
    .all(methodNotAllowed('GET'));
  return router;
}

function readInvariants({ checkLedger, clock }: ApiDeps): RequestHandler {
  return async (_request, response) => {
    const data = await checkLedger();
    response.json({
      ok: data.every(({ ok }) => ok),
      data,
      checked_at: clock().toISOString(),
    } satisfies z.output<typeof invariantsSchema>);
  };
}
