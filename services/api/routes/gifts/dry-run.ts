import type { RequestHandler } from 'express';
import { z } from 'zod';
import { acceptGifts } from '../../../domain/gifts/accept-gifts.ts';
import { type PreparedGift, prepareGift } from '../../../domain/gifts/prepare-gift.ts';
import { findFundingAccount } from '../../../domain/payments/funding-accounts.ts';
import type { ApiDeps } from '../../deps.ts';
import { principalOf } from '../../middleware/authenticate.ts';
import { requestIdOf } from '../../middleware/request-context.ts';
import { query } from '../../middleware/validate.ts';
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

/** What an accept would do, found out by doing it and rolling it back: the same checks, the same refusals. */
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
  return async (_request, response, next) => {
    if (!acceptQuery.of(response).dry_run) return next();
    const now = deps.clock();
    const principal = principalOf(response);
    const refused = timeProblem(giftBody.of(response), now);
    if (refused) throw refused;
    const draft = toGiftDraft(giftBody.of(response), { principal, requestId: requestIdOf(response) });
    const prepared = prepareGift(deps, draft, now);
    const after = await tryAccept(deps, prepared);
    const {
      id: _id,
      failure: _failure,
      ...gift
    } = giftResource({ keyring: deps.keyring, publicUrl: deps.settings.publicUrl }, prepared.gift);
    response.status(200).json({
      object: 'gift_dry_run',
      gift,
      funding_account: {
        id: after.id,
        available_before: after.availableMinor + draft.value.amount,
        available_after: after.availableMinor,
      },
    } satisfies z.output<typeof dryRunSchema>);
  };
}

async function tryAccept(deps: ApiDeps, prepared: PreparedGift) {
  const trx = await deps.db.startTransaction().execute();
  try {
    await acceptGifts(trx, deps, [prepared]);
    return await findFundingAccount(trx, prepared.gift.senderId, prepared.gift.value.currency);
  } finally {
    await trx.rollback().execute();
  }
}
