import type { RequestHandler } from 'express';
import type { OutboxRow } from '../../../domain/gifts/accept-gifts.ts';
import { cancelGift } from '../../../domain/gifts/cancel-gift.ts';
import { resendGift } from '../../../domain/gifts/resend-gift.ts';
import { extendContext } from '../../../observability/context.ts';
import type { ApiDeps } from '../../deps.ts';
import { principalOf } from '../../middleware/authenticate.ts';
import { keyClaim, sendAnswer, withIdempotency } from '../../middleware/idempotency.ts';
import { requestIdOf } from '../../middleware/request-context.ts';
import { giftResource } from './gift-resource.ts';
import { giftParams } from './read-gifts.ts';

export function cancelOwnGift(deps: ApiDeps): RequestHandler {
  const resource = { keyring: deps.keyring, publicUrl: deps.settings.publicUrl };
  return async (request, response) => {
    const { id } = giftParams.of(response);
    const { senderId, apiKeyId } = principalOf(response);
    const claim = keyClaim(deps.keyring, request, response);
    extendContext({ gift_id: id });
    const { answer, replayed } = await deps.db.transaction().execute((trx) =>
      withIdempotency(trx, claim, async () => {
        const actor = { kind: 'api_key', id: apiKeyId, requestId: requestIdOf(response) } as const;
        const gift = await cancelGift(trx, senderId, id, actor);
        return { status: 200, body: giftResource(resource, gift), location: null };
      }),
    );
    sendAnswer(response, answer, replayed);
  };
}

export function resendOwnGift(deps: ApiDeps): RequestHandler {
  const resource = { keyring: deps.keyring, publicUrl: deps.settings.publicUrl };
  const { resendCooldownSeconds: cooldownSeconds, resendLimit: limit } = deps.settings;
  return async (request, response) => {
    const { id } = giftParams.of(response);
    const { senderId, apiKeyId } = principalOf(response);
    const claim = keyClaim(deps.keyring, request, response);
    extendContext({ gift_id: id });
    const rows: OutboxRow[] = [];
    const { answer, replayed } = await deps.db.transaction().execute((trx) =>
      withIdempotency(trx, claim, async () => {
        const { gift, outboxRow } = await resendGift(
          trx,
          { outbox: deps.outbox, policy: { cooldownSeconds, limit } },
          { senderId, apiKeyId, giftId: id, requestId: requestIdOf(response) },
        );
        rows.push(outboxRow);
        return { status: 202, body: giftResource(resource, gift), location: `/v1/gifts/${id}` };
      }),
    );
    deps.publish(rows);
    sendAnswer(response, answer, replayed);
  };
}
