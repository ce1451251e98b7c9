import { ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { type BatchCallOptions, batchesOfTen, mapConcurrently, maxBatchEntries } from './batch-call.ts';
import { DeadLetterHold } from './dead-letter-hold.ts';
import { type QueueMessage, toQueueMessage } from './message.ts';
import { changeVisibilityInBatches, deleteInBatches } from './message-batches.ts';
import { sendMessages } from './producer.ts';
import {
  type DeleteResult,
  type RedriveResult,
  toDeleteResult,
  toOutgoing,
  toRedriveResult,
} from './redrive.ts';
import type { QueueClients } from './sqs.ts';

export interface DeadLettersOptions extends BatchCallOptions {
  /** How long a message stays hidden without an extension, which comes at half of it; default 120 s. */
  readonly visibilityTimeoutSeconds?: number;
  readonly now?: () => number;
}

export interface ScanOptions {
  /** Messages handed out at most; default 10,000. SQS allows 120,000 in flight. */
  readonly maxMessages?: number;
  /** Receives at once, of ten messages each: a page is at most ten times this; default 8. */
  readonly receivers?: number;
  /** The long poll that confirms the end: only a receive that waits asks every server of SQS. Default 1. */
  readonly waitTimeSeconds?: number;
  /** Ends the scan before its next page. */
  readonly signal?: AbortSignal;
}

/**
 * One run over a dead-letter queue: everything that `scan` hands out stays invisible to others until it is deleted,
 * redriven or released, and `close` releases the rest. Only one run at a time may work on a queue (the caller's lease).
 */
export class DeadLetters {
  readonly #clients: QueueClients;
  readonly #url: string;
  readonly #options: BatchCallOptions;
  readonly #visibilityTimeoutSeconds: number;
  readonly #now: () => number;
  readonly #hold: DeadLetterHold;
  readonly #deletedIds = new Set<string>();
  readonly #releaseAfterScan = new Map<string, QueueMessage>();
  #scanning = false;

  constructor(clients: QueueClients, deadLetterUrl: string, options: DeadLettersOptions = {}) {
    this.#clients = clients;
    this.#url = deadLetterUrl;
    this.#options = options;
    this.#visibilityTimeoutSeconds = options.visibilityTimeoutSeconds ?? 120;
    this.#now = options.now ?? steadyNow;
    this.#hold = new DeadLetterHold({
      visibilityTimeoutSeconds: this.#visibilityTimeoutSeconds,
      now: this.#now,
      extend: async (messages, seconds) => {
        const results = await changeVisibilityInBatches(clients, deadLetterUrl, messages, seconds, options);
        return results.map((result) => result.ok);
      },
    });
  }

  /**
   * Pages of messages, each message once however often SQS delivers it. Ends when the queue has been seen, at
   * `maxMessages`, or on the signal.
   * @throws the SDK's error when receiving fails; what was handed out stays held
   */
  async *scan(options: ScanOptions = {}): AsyncGenerator<QueueMessage[], void, void> {
    const { maxMessages = 10_000, receivers = 8, waitTimeSeconds = 1, signal } = options;
    const seen = new Set<string>();
    this.#scanning = true;
    try {
      while (seen.size < maxMessages && signal?.aborted !== true) {
        const sizes = receiveSizes(maxMessages - seen.size, receivers);
        let page = await this.#receivePage(seen, sizes, 0);
        if (page.length === 0) page = await this.#receivePage(seen, sizes.slice(0, 1), waitTimeSeconds);
        // Nothing new, though everything held is hidden: what is still to come belongs to the next run.
        if (page.length === 0) return;
        yield page;
      }
    } finally {
      this.#scanning = false;
      const due = [...this.#releaseAfterScan.values()];
      this.#releaseAfterScan.clear();
      await this.release(due);
    }
  }

  /** Makes messages visible again: at once, or when the running scan ends, since it would meet them again otherwise. */
  async release(messages: readonly QueueMessage[]): Promise<void> {
    if (this.#scanning) {
      for (const message of messages) this.#releaseAfterScan.set(message.messageId, message);
      return;
    }
    const held = this.#hold.current(messages);
    this.#hold.drop(messages);
    // One that cannot be released comes back by itself when its visibility timeout ends.
    await changeVisibilityInBatches(this.#clients, this.#url, held, 0, this.#options);
  }

  /**
   * Puts messages back into their queue as they were first sent, one result each, in order. Sends first and deletes what was
   * sent: a crash between the two repeats a message and never loses one. Never rejects.
   */
  async redrive(messages: readonly QueueMessage[], sourceUrl: string): Promise<RedriveResult[]> {
    const results = await mapConcurrently(
      batchesOfTen(messages),
      this.#options.concurrency ?? 8,
      async (batch) => {
        const held = this.#hold.current(batch);
        const outcomes = await sendMessages(this.#clients, sourceUrl, held.map(toOutgoing), this.#options);
        const sent = byMessageId(held, outcomes);
        const deletable = held.filter(({ messageId }) => sent.get(messageId)?.ok === true);
        const deleted = byMessageId(deletable, await this.deleteMessages(deletable));
        return batch.map(({ messageId: id }) => toRedriveResult(sent.get(id), deleted.get(id)));
      },
    );
    return results.flat();
  }

  /** Deletes for good; one result each, in order. A message whose hold was lost is left alone. Never rejects. */
  async deleteMessages(messages: readonly QueueMessage[]): Promise<DeleteResult[]> {
    const held = this.#hold.current(messages);
    const outcomes = await deleteInBatches(this.#clients, this.#url, held, this.#options);
    const deleted = held.filter((_message, index) => outcomes[index]?.ok === true);
    this.#hold.drop(deleted);
    for (const { messageId } of deleted) this.#deletedIds.add(messageId);
    const results = byMessageId(held, outcomes);
    return messages.map(({ messageId }) => toDeleteResult(results.get(messageId)));
  }

  /** Releases all that is still held, and stops extending. */
  async close(): Promise<void> {
    this.#scanning = false;
    await this.#hold.close();
    await this.release(this.#hold.all());
  }

  /** Only what this scan has not handed out yet. */
  async #receivePage(
    seen: Set<string>,
    sizes: readonly number[],
    waitTimeSeconds: number,
  ): Promise<QueueMessage[]> {
    const received = await mapConcurrently(sizes, sizes.length, (size) =>
      this.#receive(size, waitTimeSeconds),
    );
    const page = new Map<string, QueueMessage>();
    for (const message of received.flat()) {
      // Seen before: delivered twice. It stays hidden, because given back at once it would be the next answer, for ever.
      if (!seen.has(message.messageId)) page.set(message.messageId, message);
    }
    for (const messageId of page.keys()) seen.add(messageId);
    return [...page.values()];
  }

  async #receive(size: number, waitTimeSeconds: number): Promise<QueueMessage[]> {
    const askedAtMs = this.#now();
    const { Messages = [] } = await this.#clients.settling.send(
      new ReceiveMessageCommand({
        QueueUrl: this.#url,
        MaxNumberOfMessages: size,
        VisibilityTimeout: this.#visibilityTimeoutSeconds,
        WaitTimeSeconds: waitTimeSeconds,
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: ['All'],
      }),
    );
    const messages = Messages.map((raw) => toQueueMessage(raw, this.#now()));
    this.#hold.add(messages, askedAtMs);
    const ghosts = messages.filter(({ messageId }) => this.#deletedIds.has(messageId));
    // SQS may deliver a message once more after its delete; released, it would be redriven a second time.
    if (ghosts.length > 0) await this.deleteMessages(ghosts);
    return messages.filter((message) => !ghosts.includes(message));
  }
}

/** How many to ask of each receive: ten, but never more in sum than there is room for. */
function receiveSizes(room: number, receivers: number): number[] {
  const count = Math.min(receivers, Math.ceil(room / maxBatchEntries));
  return Array.from({ length: count }, (_, index) =>
    Math.min(maxBatchEntries, room - index * maxBatchEntries),
  );
}

/** The time of day at the start, counted on by a clock that never steps: a hold must not outlive its visibility. */
function steadyNow(): number {
  return performance.timeOrigin + performance.now();
}

function byMessageId<T>(messages: readonly QueueMessage[], values: readonly T[]): Map<string, T | undefined> {
  return new Map(messages.map(({ messageId }, index) => [messageId, values[index]]));
}
