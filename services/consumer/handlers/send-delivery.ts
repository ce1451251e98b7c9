import type { SendDelivery } from '../../domain/messages.ts';
import type { HandlerContext, QueueMessage } from '../../queue/message.ts';
import type { Claims } from '../claims.ts';
import { type DeliverDeps, deliverClaimed } from '../deliver.ts';
import type { Handled } from '../handled.ts';
import type { Permit } from '../mail-breaker.ts';

/** `delivery.send`: one more mail about a gift, a resend or a reminder. */
export async function sendDelivery(
  deps: DeliverDeps & { claims: Claims },
  message: SendDelivery,
  received: QueueMessage,
  { signal, outlast }: HandlerContext,
  permit: Permit,
): Promise<Handled> {
  const { messageId, receiveCount } = received;
  const claim = await deps.claims.deliveries.add({ deliveryId: message.id, messageId, receiveCount });
  const handled = await deliverClaimed(deps, claim, {
    signal,
    outlast,
    permit,
    missingCode: 'delivery_not_found',
  });
  return { delivery_id: message.id, ...handled };
}
