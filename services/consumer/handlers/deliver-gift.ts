import type { DeliverGift } from '../../domain/messages.ts';
import type { HandlerContext, QueueMessage } from '../../queue/message.ts';
import type { Claims } from '../claims.ts';
import { type DeliverDeps, deliverClaimed } from '../deliver.ts';
import type { Handled } from '../handled.ts';
import type { Permit } from '../mail-breaker.ts';

/** `gift.deliver`: mint the voucher, send the claim link, commit the money. */
export async function deliverGift(
  deps: DeliverDeps & { claims: Claims },
  message: DeliverGift,
  received: QueueMessage,
  { signal, outlast }: HandlerContext,
  permit: Permit,
): Promise<Handled> {
  const { messageId, receiveCount } = received;
  const claim = await deps.claims.gifts.add({ giftId: message.id, messageId, receiveCount });
  const handled = await deliverClaimed(deps, claim, {
    signal,
    outlast,
    permit,
    missingCode: 'gift_not_found',
  });
  return { gift_id: message.id, ...handled };
}
