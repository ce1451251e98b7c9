import type { QueueMessage } from './message.ts';

export interface HoldOptions {
  readonly visibilityTimeoutSeconds: number;
  /** Hides the messages for this long from now; answers, per message, whether SQS agreed. Never rejects. */
  readonly extend: (messages: readonly QueueMessage[], seconds: number) => Promise<readonly boolean[]>;
  readonly now: () => number;
}

/**
 * The messages that one run keeps invisible: each is extended when half of its time is over, until it is dropped.
 * A message whose time ran out belongs to nobody any more and is not acted on.
 */
export class DeadLetterHold {
  readonly #options: HoldOptions;
  readonly #held = new Map<string, { message: QueueMessage; untilMs: number }>();
  #timer: NodeJS.Timeout | undefined;
  #extending: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: HoldOptions) {
    this.#options = options;
  }

  /** A message that is held already is held by its newest receipt handle from now on: SQS may refuse the older one. */
  add(messages: readonly QueueMessage[], receivedAtMs: number): void {
    const untilMs = receivedAtMs + this.#options.visibilityTimeoutSeconds * 1_000;
    for (const message of messages) this.#held.set(message.messageId, { message, untilMs });
    this.#schedule();
  }

  drop(messages: readonly QueueMessage[]): void {
    for (const { messageId } of messages) this.#held.delete(messageId);
  }

  /** Those of the messages that are still ours, each with the receipt handle that is valid now. */
  current(messages: readonly QueueMessage[]): QueueMessage[] {
    const nowMs = this.#options.now();
    return messages.flatMap(({ messageId }) => {
      const held = this.#held.get(messageId);
      return held !== undefined && held.untilMs > nowMs ? [held.message] : [];
    });
  }

  all(): QueueMessage[] {
    return [...this.#held.values()].map(({ message }) => message);
  }

  /** Ends the extensions, after the one under way. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#extending;
  }

  #schedule(): void {
    if (this.#closed || this.#timer !== undefined || this.#held.size === 0) return;
    const periodMs = (this.#options.visibilityTimeoutSeconds * 1_000) / 6;
    this.#timer = setTimeout(() => {
      this.#extending = this.#extendDue().finally(() => {
        this.#timer = undefined;
        this.#schedule();
      });
    }, periodMs);
  }

  async #extendDue(): Promise<void> {
    const { visibilityTimeoutSeconds, now, extend } = this.#options;
    const askedAtMs = now();
    const halfMs = visibilityTimeoutSeconds * 500;
    const due = [...this.#held.values()].filter(({ untilMs }) => {
      const leftMs = untilMs - askedAtMs;
      return leftMs > 0 && leftMs <= halfMs;
    });
    if (due.length === 0) return;
    const messages = due.map(({ message }) => message);
    const extended = await extend(messages, visibilityTimeoutSeconds);
    for (const [index, held] of due.entries()) {
      // A refused extension is tried again until the time is over; then `current` leaves the message out.
      if (extended[index]) held.untilMs = askedAtMs + visibilityTimeoutSeconds * 1_000;
    }
  }
}
