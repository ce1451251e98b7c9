import type { RequestHandler } from 'express';
import { z } from 'zod';
import { acceptedAt, prepareGift } from '../../../domain/gifts/prepare-gift.ts';
import { tryAccept } from '../../../domain/gifts/try-accept.ts';
import type { ApiDeps } from '../../deps.ts';
import { principalOf } from '../../middleware/authenticate.ts';
import { requestIdOf } from '../../middleware/request-context.ts';
import { query } from '../../middleware/validate.ts';
import { Problem } from '../../problem.ts';
import { giftBody } from './accept-gift.ts';
import { timeProblem, toGiftDraft } from './gift-draft.ts';
import { giftResource, giftSchema } from './gift-resource.ts';

export const acceptQuery = query(
  z.strictObject({
    dry_run: z
      .enum(['true', 'false'])
      .default('false')
      .transform((text) => text === 'true')
      .meta({ description: 'Answer what would happen, and let nothing happen' }),
  }),
);

/** What an accept would do, decided by what decides accepts: the same checks, the same refusals. */
export const dryRunSchema = z
  .object({
    object: z.literal('gift_dry_run'),
    gift: giftSchema.omit({ id: true, claim_url: true, failure: true }),
    funding_account: z.object({
      id: z.string(),
      available_before: z.int(),
      available_after: z.int(),
    }),
  })
  .meta({ id: 'GiftDryRun' });

/** Takes the place of the accept when `?dry_run=true`. */
export function dryRun(deps: ApiDeps): RequestHandler {
  const resource = { keyring: deps.keyring, publicUrl: deps.settings.publicUrl };
  return async (_request, response, next) => {
    if (!acceptQuery.of(response).dry_run) return next();
    const asked = giftBody.of(response);
    const context = { principal: principalOf(response), requestId: requestIdOf(response) };
    const prepared = prepareGift(deps, toGiftDraft(asked, context));
    const outcome = await tryAccept(deps.db, deps, prepared);
    switch (outcome.kind) {
      case 'refused':
      case 'illegal':
        throw outcome.error;
      case 'untimely':
        throw timeProblem(asked, outcome.at) ?? new Error('the two checks of times disagree');
      case 'busy':
        throw new Problem('unavailable', 'your account is in use; repeat the request', {
          retryAfterSeconds: 1,
        });
    }
    const { id: _id, failure: _failure, ...gift } = giftResource(resource, acceptedAt(prepared, outcome.at));
    response.status(200).json({
      object: 'gift_dry_run',
      gift,
      funding_account: {
        id: outcome.fundingAccountId,
        available_before: outcome.availableMinor,
        available_after: outcome.availableMinor - asked.value.amount,
      },
    } satisfies z.output<typeof dryRunSchema>);
  };
}
