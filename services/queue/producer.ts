import { SendMessageBatchCommand, type SendMessageBatchRequestEntry } from '@aws-sdk/client-sqs';
import { type BatchCallOptions, callInBatches, type EntryResult, maxBatchEntries } from './batch-call.ts';
import { failureOwner, refusalCode } from './failure-owner.ts';
import type { MessageAttributes } from './message.ts';
import { sendWhatIsTaken } from './send-what-is-taken.ts';
import type { QueueClients } from './sqs.ts';

export interface OutgoingMessage {
  readonly body: string;
  /** At most ten; SQS refuses more. */
  readonly attributes?: MessageAttributes;
  /** On a standard queue: whose fair share the message counts against. */
  readonly groupId?: string;
  readonly delaySeconds?: number;
  /** Travels as the AWSTraceHeader system attribute: costs neither size nor one of the ten attributes. */
  readonly traceHeader?: string;
}

export type SendResult =
  | { readonly ok: true; readonly messageId: string }
  | {
      readonly ok: false;
      /** `oversize`, or the code by which SQS or the network refused. */
      readonly reason: string;
      /** False: the fault is proven to be this message's own. Everything else may pass, or be mended, while it waits. */
      readonly retryable: boolean;
      readonly cause?: unknown;
    };

/** One message, and also the sum of one batch: bodies and attributes, 1 MiB. */
export const maxBatchBytes = 1_048_576;

/**
 * Sends any number of messages in batches of at most ten and 1 MiB; answers one result per message, in order.
 * Never rejects. A result that is not ok may still have been sent (a lost answer): receivers must bear duplicates.
 * Group ids and trace headers are left out where the queue turns out not to take them.
 */
export function sendMessages(
  clients: QueueClients,
  queueUrl: string,
  messages: readonly OutgoingMessage[],
  options: BatchCallOptions = {},
): Promise<SendResult[]> {
  return sendWhatIsTaken(clients.abilities, queueUrl, messages, (some) =>
    sendInBatches(clients, queueUrl, some, options),
  );
}

async function sendInBatches(
  clients: QueueClients,
  queueUrl: string,
  messages: readonly OutgoingMessage[],
  options: BatchCallOptions,
): Promise<SendResult[]> {
  const results = new Array<SendResult>(messages.length);
  const sendable: Sized[] = [];
  for (const [index, message] of messages.entries()) {
    const bytes = messageBytes(message);
    if (bytes > maxBatchBytes) results[index] = { ok: false, reason: 'oversize', retryable: false };
    else sendable.push({ index, message, bytes });
  }
  const sent = await callInBatches(
    splitBySize(sendable),
    (entries, abortSignal) =>
      clients.settling.send(
        new SendMessageBatchCommand({
          QueueUrl: queueUrl,
          Entries: entries.map(({ id, item }) => toEntry(id, item.message)),
        }),
        { abortSignal },
      ),
    { ...options, isOwnFault: (code) => failureOwner(refusalCode(code, 0)) === 'message' },
  );
  for (const [position, { index, bytes }] of sendable.entries()) {
    results[index] = toSendResult(sent[position], bytes);
  }
  return results;
}

interface Sized {
  readonly index: number;
  readonly message: OutgoingMessage;
  readonly bytes: number;
}

/** As SQS counts: the body, and of each attribute its name, type and value. System attributes are free. */
export function messageBytes(message: OutgoingMessage): number {
  let bytes = Buffer.byteLength(message.body);
  for (const [name, { DataType, StringValue, BinaryValue }] of Object.entries(message.attributes ?? {})) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(DataType ?? '');
    bytes += Buffer.byteLength(StringValue ?? '') + (BinaryValue?.byteLength ?? 0);
  }
  return bytes;
}

function splitBySize(items: readonly Sized[]): Sized[][] {
  const batches: Sized[][] = [];
  let batch: Sized[] = [];
  let batchBytes = 0;
  for (const item of items) {
    if (batch.length === maxBatchEntries || batchBytes + item.bytes > maxBatchBytes) {
      batches.push(batch);
      batch = [];
      batchBytes = 0;
    }
    batch.push(item);
    batchBytes += item.bytes;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

function toEntry(id: string, message: OutgoingMessage): SendMessageBatchRequestEntry {
  const { body, attributes, groupId, delaySeconds, traceHeader } = message;
  return {
    Id: id,
    MessageBody: body,
    ...(attributes === undefined ? {} : { MessageAttributes: attributes }),
    ...(groupId === undefined ? {} : { MessageGroupId: groupId }),
    ...(delaySeconds === undefined ? {} : { DelaySeconds: delaySeconds }),
    ...(traceHeader === undefined
      ? {}
      : {
          MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: traceHeader } },
        }),
  };
}

function toSendResult(
  result: EntryResult<{ MessageId?: string | undefined }> | undefined,
  bytes: number,
): SendResult {
  if (result === undefined) return { ok: false, reason: 'Unconfirmed', retryable: true };
  if (result.ok) return { ok: true, messageId: result.value.MessageId ?? '' };
  const reason = refusalCode(result.code, bytes);
  return {
    ok: false,
    reason,
    retryable: failureOwner(reason) !== 'message',
    ...(result.cause === undefined ? {} : { cause: result.cause }),
  };
}
