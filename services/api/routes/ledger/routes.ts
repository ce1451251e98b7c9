import { type RequestHandler, Router } from 'express';
import { z } from 'zod';
import { readDatabaseTime } from '../../../database/queries/database-time.ts';
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
        closed_until: z.iso.datetime().nullable().meta({
          description:
            'What was posted until then was checked once; what was posted later is checked by each request',
        }),
        recounted_at: z.iso.datetime().nullable().meta({
          description: 'When all that is closed was last counted again to its end',
        }),
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

function readInvariants({ checkLedger, reads }: ApiDeps): RequestHandler {
  return async (_request, response) => {
    const data = await checkLedger();
    response.json({
      ok: data.every(({ ok }) => ok),
      data: data.map(({ closedUntil, recountedAt, ...invariant }) => ({
        ...invariant,
        closed_until: closedUntil?.toISOString() ?? null,
        recounted_at: recountedAt?.toISOString() ?? null,
      })),
      checked_at: (await readDatabaseTime(reads)).toISOString(),
    } satisfies z.output<typeof invariantsSchema>);
  };
}
