import type { RequestHandler } from 'express';
import { cancelGift } from '../../../domain/gifts/cancel-gift.ts';
import { resendGift } from '../../../domain/gifts/resend-gift.ts';
import { extendContext } from '../../../observability/context.ts';
import type { ApiDeps } from '../../deps.ts';
import { principalOf } from '../../middleware/authenticate.ts';
import { keyClaim, sendOnce } from '../../middleware/idempotency.ts';
import { requestIdOf } from '../../middleware/request-context.ts';
import { giftResource } from './gift-resource.ts';
import { giftParams } from './read-gifts.ts';

export function cancelOwnGift(deps: ApiDeps): RequestHandler {
  const resource = { keyring: deps.keyring, publicUrl: deps.settings.publicUrl };
  return async (request, response) => {
    const { id: giftId } = giftParams.of(response);
    const { senderId, apiKeyId } = principalOf(response);
    extendContext({ gift_id: giftId });
    const cancelled = await cancelGift(deps.db, {
      senderId,
      giftId,
      actor: { kind: 'api_key', id: apiKeyId, requestId: requestIdOf(response) },
      key: keyClaim(deps.keyring, request, response),
      answerOf: (gift) => ({ status: 200, body: giftResource(resource, gift), location: null }),
    });
    sendOnce(response, cancelled);
  };
}

export function resendOwnGift(deps: ApiDeps): RequestHandler {
  const resource = { keyring: deps.keyring, publicUrl: deps.settings.publicUrl };
  const { resendCooldownSeconds: cooldownSeconds, resendLimit: limit } = deps.settings;
  const work = { outbox: deps.outbox, policy: { cooldownSeconds, limit } };
  return async (request, response) => {
    const { id: giftId } = giftParams.of(response);
    const { senderId, apiKeyId } = principalOf(response);
    extendContext({ gift_id: giftId });
    const resent = await resendGift(deps.db, work, {
      senderId,
      apiKeyId,
      giftId,
      requestId: requestIdOf(response),
      key: keyClaim(deps.keyring, request, response),
      answerOf: (gift) => ({
        status: 202,
        body: giftResource(resource, gift),
        location: `/v1/gifts/${giftId}`,
      }),
    });
    if (resent.kind === 'done') deps.publish([resent.result.outboxRow]);
    sendOnce(response, resent);
  };
}
