import type { EntryResult } from './batch-call.ts';
import type { QueueMessage } from './message.ts';
import type { OutgoingMessage, SendResult } from './producer.ts';

export type DeleteResult =
  | { readonly ok: true }
  /** `hold_lost`: the message was not ours any more, nothing was done. */
  | { readonly ok: false; readonly reason: string; readonly retryable: boolean };

export type RedriveResult =
  | { readonly kind: 'redriven'; readonly messageId: string }
  /** Now in both queues: it will be redriven once more, and its receiver must recognise it. */
  | { readonly kind: 'sent-not-deleted'; readonly messageId: string; readonly reason: string }
  | { readonly kind: 'not-sent'; readonly reason: string; readonly retryable: boolean };

/** What the consumer writes on a message that it dead-letters. */
const deathMark = /^dead_letter_/;

/**
 * The message as it was first sent. Our own marks of its death come off: they count to the ten attributes that SQS allows,
 * and would tell of the old death at the next one.
 */
export function toOutgoing(message: QueueMessage): OutgoingMessage {
  const attributes = Object.entries(message.attributes).filter(([name]) => !deathMark.test(name));
  return {
    body: message.body,
    attributes: Object.fromEntries(attributes),
    ...(message.groupId === undefined ? {} : { groupId: message.groupId }),
    ...(message.traceHeader === undefined ? {} : { traceHeader: message.traceHeader }),
  };
}

export function toDeleteResult(result: EntryResult<object> | undefined): DeleteResult {
  if (result === undefined) return { ok: false, reason: 'hold_lost', retryable: true };
  return result.ok ? { ok: true } : { ok: false, reason: result.code, retryable: result.retryable };
}

export function toRedriveResult(
  sent: SendResult | undefined,
  deleted: DeleteResult | undefined,
): RedriveResult {
  if (sent === undefined) return { kind: 'not-sent', reason: 'hold_lost', retryable: true };
  if (!sent.ok) return { kind: 'not-sent', reason: sent.reason, retryable: sent.retryable };
  const { messageId } = sent;
  if (deleted?.ok === true) return { kind: 'redriven', messageId };
  return { kind: 'sent-not-deleted', messageId, reason: deleted?.reason ?? 'Unconfirmed' };
}
