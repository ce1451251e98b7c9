import type { RequestHandler } from 'express';
import { giftAccept } from '../../../domain/gifts/accept-gifts.ts';
import type { AcceptClaim } from '../../../domain/gifts/gift-insert.ts';
import { acceptedAt, type PreparedGift, prepareGift } from '../../../domain/gifts/prepare-gift.ts';
import { extendContext } from '../../../observability/context.ts';
import { Accepting } from '../../accepting.ts';
import type { ApiDeps } from '../../deps.ts';
import { principalOf } from '../../middleware/authenticate.ts';
import { earlierAnswer, type KeyClaim, keyClaim, sendAnswer } from '../../middleware/idempotency.ts';
import { requestIdOf } from '../../middleware/request-context.ts';
import { body } from '../../middleware/validate.ts';
import { CallerGone, waitingCaller } from '../../waiting-caller.ts';
import { timeProblem, toGiftDraft } from './gift-draft.ts';
import { giftRequestSchema } from './gift-request.ts';
import { giftResource } from './gift-resource.ts';

export const giftBody = body(giftRequestSchema);

/**
 * Accepts a gift: one statement that is one transaction, shared with whatever other requests come in meanwhile; then
 * the answer. Nothing is sent anywhere before it. What nobody waits for any more is not accepted.
 */
export function acceptGift(deps: ApiDeps): RequestHandler {
  const accepting = new Accepting(deps);
  return async (request, response) => {
    const context = { principal: principalOf(response), requestId: requestIdOf(response) };
    const prepared = prepareGift(deps, toGiftDraft(giftBody.of(response), context));
    const claim = acceptClaim(deps, prepared, keyClaim(deps.keyring, request, response));
    using caller = waitingCaller(response);
    const asked = { ...giftAccept(deps, prepared, claim), signal: caller.signal };
    const outcome = await accepting.accept(asked).catch(unlessGone(deps, caller.signal));
    if (!outcome) return;
    switch (outcome.kind) {
      case 'accepted': {
        extendContext({ gift_id: prepared.gift.id });
        const answer = { status: claim.status, body: claim.bodyAt(outcome.at.toISOString()) };
        return sendAnswer(response, { ...answer, location: claim.location }, false);
      }
      case 'refused':
      case 'illegal':
        throw outcome.error;
      case 'untimely':
        throw timeProblem(giftBody.of(response), outcome.at) ?? new Error('the two checks of times disagree');
      default:
        return sendAnswer(response, earlierAnswer(outcome), true);
    }
  };
}

/** The answer with the moment of the accept, which only the database knows. */
function acceptClaim(deps: ApiDeps, prepared: PreparedGift, key: KeyClaim): AcceptClaim {
  const resource = { keyring: deps.keyring, publicUrl: deps.settings.publicUrl };
  const gift = giftResource(resource, acceptedAt(prepared, new Date(0)));
  return {
    ...key,
    status: 202,
    location: `/v1/gifts/${prepared.gift.id}`,
    bodyAt: (moment) => ({ ...gift, created_at: moment, state_changed_at: moment }),
  };
}

/** Nobody is there to be told when the caller is gone. */
function unlessGone({ metrics }: ApiDeps, signal: AbortSignal) {
  return (error: unknown): undefined => {
    const isGone = error instanceof CallerGone;
    if (error === signal.reason) metrics.acceptsDropped.inc({ reason: isGone ? 'gone' : 'late' });
    if (!isGone) throw error;
  };
}
