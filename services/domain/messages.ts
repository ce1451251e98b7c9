import { z } from 'zod';
import { type DeliveryId, type GiftId, isId } from './ids.ts';

/** What travels through the gifts queue: a tagged, versioned union that carries ids only. */
export type Message = DeliverGift | SendDelivery;

/** Deliver a gift: mint its voucher, send the claim link, commit its money. */
export type DeliverGift = { type: 'gift.deliver'; version: 1; id: GiftId };

/** Send one more mail about a gift: a resend or a reminder. */
export type SendDelivery = { type: 'delivery.send'; version: 1; id: DeliveryId };

/** The message in a decoded envelope. @throws z.ZodError for an unknown type, version or id: such a message is poison */
export function parseMessage(envelope: unknown): Message {
  return messageSchema.parse(envelope);
}

/** What identifies a message across redrives, when SQS gives it a new message id each time. */
export function messageKey(message: Message): string {
  return `${message.type}:${message.id}`;
}

const messageSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('gift.deliver'),
    version: z.literal(1),
    id: z.custom<GiftId>((value) => typeof value === 'string' && isId('gft', value), 'no gift id'),
  }),
  z.object({
    type: z.literal('delivery.send'),
    version: z.literal(1),
    id: z.custom<DeliveryId>((value) => typeof value === 'string' && isId('dlv', value), 'no delivery id'),
  }),
]);
