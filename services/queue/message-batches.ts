import { ChangeMessageVisibilityBatchCommand, DeleteMessageBatchCommand } from '@aws-sdk/client-sqs';
import { type BatchCallOptions, batchesOfTen, callInBatches, type EntryResult } from './batch-call.ts';
import type { QueueMessage } from './message.ts';
import type { QueueClients } from './sqs.ts';

type Handle = Pick<QueueMessage, 'receiptHandle'>;

/** Any number of deletes, in batches of ten; one result per message, in order. Never rejects. */
export function deleteInBatches(
  clients: QueueClients,
  queueUrl: string,
  messages: readonly Handle[],
  options: BatchCallOptions,
): Promise<EntryResult<object>[]> {
  return callInBatches(
    batchesOfTen(messages),
    (entries, abortSignal) =>
      clients.settling.send(
        new DeleteMessageBatchCommand({
          QueueUrl: queueUrl,
          Entries: entries.map(({ id, item }) => ({ Id: id, ReceiptHandle: item.receiptHandle })),
        }),
        { abortSignal },
      ),
    options,
  );
}

/**
 * Any number of visibility changes, each to seconds of its own or all to the same, in batches of ten; one result per message, in
 * order. 0 makes visible. Never rejects.
 */
export function changeVisibilityInBatches<M extends Handle>(
  clients: QueueClients,
  queueUrl: string,
  messages: readonly M[],
  visibilityTimeoutSeconds: number | ((message: M) => number),
  options: BatchCallOptions,
): Promise<EntryResult<object>[]> {
  return callInBatches(
    batchesOfTen(messages),
    (entries, abortSignal) =>
      clients.settling.send(
        new ChangeMessageVisibilityBatchCommand({
          QueueUrl: queueUrl,
          Entries: entries.map(({ id, item }) => ({
            Id: id,
            ReceiptHandle: item.receiptHandle,
            VisibilityTimeout:
              typeof visibilityTimeoutSeconds === 'number'
                ? visibilityTimeoutSeconds
                : visibilityTimeoutSeconds(item),
          })),
        }),
        { abortSignal },
      ),
    options,
  );
}
