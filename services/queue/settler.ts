import { fullJitterMs } from './backoff.ts';
import { type BatchCallOptions, type EntryResult, maxBatchEntries } from './batch-call.ts';
import { Batcher } from './batcher.ts';
import { deadLetterCopy } from './dead-letter-copy.ts';
import { failureOwner } from './failure-owner.ts';
import type { Lease } from './leases.ts';
import { changeVisibilityInBatches, deleteInBatches } from './message-batches.ts';
import { pause } from './pause.ts';
import { type OutgoingMessage, sendMessages } from './producer.ts';
import type { QueueClients } from './sqs.ts';

export interface SettlerOptions {
  readonly clients: QueueClients;
  readonly queueUrl: string;
  readonly deadLetterUrl: string;
  readonly maxDelayMs: number;
  readonly now: () => number;
  readonly random: () => number;
}

/** SQS did not do what was asked of one message; `code` is its own code, an error name, `oversize` or `LeaseLost`. */
export class SettleError extends Error {
  override readonly name = 'SettleError';
  readonly code: string;
  constructor(code: string, cause?: unknown) {
    super(`not settled: ${code}`, { cause });
    this.code = code;
  }
}

interface VisibilityChange {
  readonly lease: Lease;
  readonly seconds: number;
}

/** Rounds of a settlement whose whole request failed (each is up to three attempts of the SDK). */
const rounds = 3;

/**
 * Deletes, visibility changes and dead letters, each collected into batches of ten across messages. Every promise settles;
 * it resolves only when SQS confirmed that very entry while the lease was valid, and rejects with a SettleError.
 */
export class Settler {
  readonly #options: SettlerOptions;
  readonly #deletes: Batcher<Lease, EntryResult<unknown>>;
  readonly #changes: Batcher<VisibilityChange, EntryResult<unknown>>;
  readonly #deadLetters: Batcher<OutgoingMessage, EntryResult<unknown>>;
  readonly #stopping = new AbortController();

  constructor(options: SettlerOptions) {
    this.#options = options;
    const { clients, deadLetterUrl, maxDelayMs, random } = options;
    const batching = { maxSize: maxBatchEntries, maxDelayMs };
    this.#deletes = new Batcher({ ...batching, run: (leases) => this.#deleteAll(leases) });
    this.#changes = new Batcher({ ...batching, run: (changes) => this.#changeAll(changes, { random }) });
    this.#deadLetters = new Batcher({
      ...batching,
      run: async (copies) => {
        const results = await sendMessages(clients, deadLetterUrl, copies, { random });
        return results.map(
          (sent): EntryResult<unknown> =>
            sent.ok ? { ok: true, value: sent } : { ...sent, code: sent.reason },
        );
      },
    });
  }

  async delete(lease: Lease): Promise<void> {
    await this.#repeat(lease, () => this.#deletes.add(lease));
  }

  /** 0 seconds releases the message at once. Waits for an extension on its way, which would otherwise overwrite the change. */
  async changeVisibility(lease: Lease, seconds: number): Promise<void> {
    await lease.extending;
    await this.#repeat(lease, () => this.#changes.add({ lease, seconds }));
  }

  /** Only sends the copy: delete the original after, so that a crash between repeats the message and never loses it. */
  async sendToDeadLetters(lease: Lease, verdict: { class: string; reason: string }): Promise<void> {
    const copy = deadLetterCopy(lease.message, verdict);
    const result = await this.#deadLetters.add(copy);
    if (!result.ok) throw new SettleError(result.code, result.cause);
  }

  /** One call per ten, no repetition: the caller's timer comes again soon. */
  extend(changes: readonly VisibilityChange[]): Promise<EntryResult<unknown>[]> {
    return this.#changeAll(changes, { attempts: 1 });
  }

  /** Sends what waits for company at once, and waits for no further rounds. */
  async hurry(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#deletes.flush(), this.#changes.flush(), this.#deadLetters.flush()]);
  }

  async #repeat(lease: Lease, settle: () => Promise<EntryResult<unknown>>): Promise<void> {
    for (let round = 1; ; round += 1) {
      // A stale handle's delete "succeeds" and deletes nothing: it would be reported as done while the message comes back.
      if (this.#isLost(lease)) throw new SettleError('LeaseLost');
      const result = await settle();
      if (result.ok && this.#isLost(lease)) throw new SettleError('LeaseLost');
      if (result.ok) return;
      // What is ours to mend (a permission, a key) is not mended within seconds; throttling passes.
      const isWorthIt = result.retryable && failureOwner(result.code) !== 'us';
      if (!isWorthIt || round >= rounds) throw new SettleError(result.code, result.cause);
      const pauseMs = fullJitterMs({ attempt: round, baseMs: 250, random: this.#options.random });
      await pause(pauseMs, this.#stopping.signal);
    }
  }

  #isLost(lease: Lease): boolean {
    return this.#options.now() >= lease.untilMs;
  }

  #deleteAll(leases: readonly Lease[]): Promise<EntryResult<unknown>[]> {
    const { clients, queueUrl, random } = this.#options;
    const messages = leases.map(({ message }) => message);
    return deleteInBatches(clients, queueUrl, messages, { random });
  }

  #changeAll(
    changes: readonly VisibilityChange[],
    options: BatchCallOptions,
  ): Promise<EntryResult<unknown>[]> {
    const { clients, queueUrl } = this.#options;
    const handles = changes.map(({ lease, seconds }) => ({
      receiptHandle: lease.message.receiptHandle,
      seconds,
    }));
    return changeVisibilityInBatches(clients, queueUrl, handles, ({ seconds }) => seconds, options);
  }
}
