import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs';

/** User attributes exactly as SQS gave them, so that a copy of the message carries them unchanged (10 at most). */
export type MessageAttributes = Readonly<Record<string, MessageAttributeValue>>;

export interface QueueMessage {
  readonly messageId: string;
  /** Valid for this one receive: a later receive of the same message makes it stale. */
  readonly receiptHandle: string;
  readonly body: string;
  readonly attributes: MessageAttributes;
  readonly systemAttributes: Readonly<Record<string, string>>;
  /** SQS's own count; it also counts receives that were released untouched, so it is not our attempt counter. */
  readonly receiveCount: number;
  readonly sentAt: Date;
  readonly firstReceivedAt: Date;
  readonly groupId?: string;
  /** `Root=1-…;Parent=…;Sampled=…`: costs none of the 10 user attributes. */
  readonly traceHeader?: string;
}

/** What a handler decides about one message. */
export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'retry'; readonly delaySeconds: number; readonly reason: string }
  | { readonly kind: 'dead-letter'; readonly class: string; readonly reason: string };

export interface HandlerContext {
  /** Aborted at the handler's deadline, when the lease on the message is lost, and late in a shutdown. */
  readonly signal: AbortSignal;
  readonly deadlineAt: Date;
  /**
   * For a handler that has done what can't be undone and has to record it: the deadline no longer counts, and the signal
   * aborts only when the lease on the message is lost, or late in a shutdown.
   */
  readonly outlast: () => AbortSignal;
}

export type Handler = (message: QueueMessage, context: HandlerContext) => Promise<Outcome>;

/** Shapes one entry of a ReceiveMessage response. What an emulator leaves out, or writes its own way, gets the receive time `nowMs`. */
export function toQueueMessage(raw: Message, nowMs: number): QueueMessage {
  const system = raw.Attributes ?? {};
  const groupId = system['MessageGroupId'];
  const traceHeader = system['AWSTraceHeader'];
  return {
    messageId: raw.MessageId ?? '',
    receiptHandle: raw.ReceiptHandle ?? '',
    body: raw.Body ?? '',
    attributes: raw.MessageAttributes ?? {},
    systemAttributes: system as Readonly<Record<string, string>>,
    receiveCount: wholeOf(system['ApproximateReceiveCount'], 9) ?? 1,
    sentAt: new Date(wholeOf(system['SentTimestamp'], 13) ?? nowMs),
    firstReceivedAt: new Date(wholeOf(system['ApproximateFirstReceiveTimestamp'], 13) ?? nowMs),
    ...(groupId === undefined ? {} : { groupId }),
    ...(traceHeader === undefined ? {} : { traceHeader }),
  };
}

/** No number at all, or one beyond all times and counts, would be an illegal row in whatever statement the message shares. */
function wholeOf(text: string | undefined, mostDigits: number): number | undefined {
  return text !== undefined && /^\d+$/.test(text) && text.length <= mostDigits ? Number(text) : undefined;
}
