import type { RequestHandler } from 'express';
import { acceptGifts, type OutboxRow } from '../../../domain/gifts/accept-gifts.ts';
import { type PreparedGift, prepareGift } from '../../../domain/gifts/prepare-gift.ts';
import { extendContext } from '../../../observability/context.ts';
import type { ApiDeps } from '../../deps.ts';
import { principalOf } from '../../middleware/authenticate.ts';
import { type Answer, claimAnswer, keyClaim, sendAnswer } from '../../middleware/idempotency.ts';
import { requestIdOf } from '../../middleware/request-context.ts';
import { body } from '../../middleware/validate.ts';
import { toGiftDraft } from './gift-draft.ts';
import { giftRequestSchema } from './gift-request.ts';
import { giftResource } from './gift-resource.ts';

export const giftBody = body(giftRequestSchema);

/** Accepts a gift: one transaction, then the answer; nothing is sent anywhere before it, and nothing is waited for. */
export function acceptGift(deps: ApiDeps): RequestHandler {
  const resource = { keyring: deps.keyring, publicUrl: deps.settings.publicUrl };
  return async (request, response) => {
    const now = deps.clock();
    const context = { principal: principalOf(response), requestId: requestIdOf(response), now };
    const prepared = prepareGift(deps, toGiftDraft(giftBody.of(response), context), now);
    const claim = keyClaim(deps.keyring, request, response);
    const answer: Answer = {
      status: 202,
      body: giftResource(resource, prepared.gift),
      location: `/v1/gifts/${prepared.gift.id}`,
    };
    const { earlier, rows } = await deps.db.transaction().execute(async (trx) => {
      const earlier = await claimAnswer(trx, claim, answer);
      const rows: OutboxRow[] = earlier ? [] : await acceptGifts(trx, deps, [prepared]);
      return { earlier, rows };
    });
    deps.publish(rows);
    if (!earlier) noteAccepted(deps, prepared);
    sendAnswer(response, earlier ?? answer, earlier !== null);
  };
}

function noteAccepted({ metrics }: ApiDeps, { gift }: PreparedGift): void {
  metrics.giftsAccepted.inc({ recipient_type: gift.channel });
  extendContext({ gift_id: gift.id });
}
