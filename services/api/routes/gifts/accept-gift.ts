import type { RequestHandler } from 'express';
import { findIdempotencyAnswer } from '../../../database/queries/idempotency.ts';
import {
  type AcceptOutcome,
  acceptClaimed,
  type ClaimedAccept,
  claimedAccept,
} from '../../../domain/gifts/accept-claimed.ts';
import { type PreparedGift, prepareGift } from '../../../domain/gifts/prepare-gift.ts';
import { extendContext } from '../../../observability/context.ts';
import type { ApiDeps } from '../../deps.ts';
import { principalOf } from '../../middleware/authenticate.ts';
import {
  type Answer,
  earlierAnswer,
  type KeyClaim,
  keyClaim,
  sendAnswer,
} from '../../middleware/idempotency.ts';
import { requestIdOf } from '../../middleware/request-context.ts';
import { body } from '../../middleware/validate.ts';
import type { Problem } from '../../problem.ts';
import { Together } from '../../together.ts';
import { timeProblem, toGiftDraft } from './gift-draft.ts';
import { giftRequestSchema } from './gift-request.ts';
import { giftResource } from './gift-resource.ts';

export const giftBody = body(giftRequestSchema);

/** Statements under way at once per process: one runs while the next is being made. More make smaller ones of them. */
const lanes = 2;
/** Gifts per statement at most: a hundred take a few milliseconds. */
const maxTogether = 100;

/**
 * Accepts a gift: one statement that is one transaction, shared with whatever other requests come in meanwhile; then
 * the answer. Nothing is sent anywhere before it, and nothing is waited for.
 */
export function acceptGift(deps: ApiDeps): RequestHandler {
  const resource = { keyring: deps.keyring, publicUrl: deps.settings.publicUrl };
  const accepting = new Together<ClaimedAccept, AcceptOutcome>({
    run: (accepts) => acceptClaimed(deps.db, deps, accepts),
    lanes,
    maxSize: maxTogether,
  });
  return async (request, response) => {
    const now = deps.clock();
    const key = keyClaim(deps.keyring, request, response);
    const refused = timeProblem(giftBody.of(response), now);
    if (refused) return sendAnswer(response, await answerInsteadOf(deps, key, refused), true);
    const context = { principal: principalOf(response), requestId: requestIdOf(response) };
    const prepared = prepareGift(deps, toGiftDraft(giftBody.of(response), context), now);
    const answer: Answer = {
      status: 202,
      body: giftResource(resource, prepared.gift),
      location: `/v1/gifts/${prepared.gift.id}`,
    };
    const outcome = await accepting.add(claimedAccept(deps, prepared, { ...key, ...answer }));
    if (outcome.kind !== 'accepted') return sendAnswer(response, earlierAnswer(outcome), true);
    if (outcome.outboxRow) deps.publish([outcome.outboxRow]);
    noteAccepted(deps, prepared);
    sendAnswer(response, answer, false);
  };
}

/**
 * A time that has passed since the first request must not refuse its repetition: whoever lost the first answer would take
 * it for "nothing happened", and give once more with another key.
 * @throws Problem `refused` where the key has no answer; those of `earlierAnswer`
 */
async function answerInsteadOf({ db }: ApiDeps, key: KeyClaim, refused: Problem): Promise<Answer> {
  const earlier = await db.transaction().execute((trx) => findIdempotencyAnswer(trx, key));
  if (earlier.kind === 'fresh') throw refused;
  return earlierAnswer(earlier);
}

function noteAccepted({ metrics }: ApiDeps, { gift }: PreparedGift): void {
  metrics.giftsAccepted.inc({ recipient_type: gift.channel });
  extendContext({ gift_id: gift.id });
}
