import { type DeliveryId, type GiftId, isId } from './ids.ts';

/** What travels through the gifts queue: a tagged, versioned union that carries ids only. */
export type Message = DeliverGift | SendDelivery;

/** Deliver a gift: mint its voucher, send the claim link, commit its money. */
export type DeliverGift = { type: 'gift.deliver'; version: 1; id: GiftId };

/** Send one more mail about a gift: a resend or a reminder. */
export type SendDelivery = { type: 'delivery.send'; version: 1; id: DeliveryId };

/** Why a message is not understood here, though another release may: it is left for that one, and is no poison. */
export type NotUnderstood = 'unknown_message_type' | 'unknown_message_version';

export type ReadMessage =
  | { kind: 'message'; message: Message }
  | { kind: 'not_understood'; code: NotUnderstood }
  /** its type and version are ours, and it names nothing of ours */
  | { kind: 'invalid' };

/** What the sender of an envelope asks for, as far as this release knows. Fields that are added are not looked at. */
export function readMessage(envelope: { type: string; version: number | string; id?: unknown }): ReadMessage {
  const known = idPrefixes.filter(({ type }) => type === envelope.type);
  if (known.length === 0) return { kind: 'not_understood', code: 'unknown_message_type' };
  const same = known.find(({ version }) => version === envelope.version);
  if (same === undefined) return { kind: 'not_understood', code: 'unknown_message_version' };
  const { type, version, id } = envelope;
  if (typeof id !== 'string' || !isId(same.prefix, id)) return { kind: 'invalid' };
  return { kind: 'message', message: { type, version, id } as Message };
}

/** What identifies a message across redrives, when SQS gives it a new message id each time. */
export function messageKey(message: Message): string {
  return `${message.type}:${message.id}`;
}

/** Every type in every version that is understood, and whose id it carries. */
const idPrefixes = [
  { type: 'gift.deliver', version: 1, prefix: 'gft' },
  { type: 'delivery.send', version: 1, prefix: 'dlv' },
] as const satisfies (Pick<Message, 'type' | 'version'> & { prefix: 'gft' | 'dlv' })[];
