import type { Lease } from './leases.ts';
import type { Handler, Outcome } from './message.ts';

export type AbortCause = 'timed-out' | 'lease-lost' | 'shutdown';

/** How a handling came to its end; `abortedBy` when its signal was aborted before. */
export type Ending =
  | { readonly kind: 'returned'; readonly outcome: Outcome; readonly abortedBy: AbortCause | undefined }
  | { readonly kind: 'threw'; readonly error: unknown; readonly abortedBy: AbortCause | undefined }
  /** The handler did not settle within the grace that an abort leaves; its result, if one ever comes, is ignored. */
  | { readonly kind: 'reclaimed'; readonly abortedBy: AbortCause };

/** The reason of a handler's abort signal. */
class HandlingAbortedError extends Error {
  override readonly name = 'HandlingAbortedError';
  readonly code: AbortCause;
  constructor(cause: AbortCause, message: string) {
    super(message);
    this.code = cause;
  }
}

export interface HandlingOptions {
  readonly handler: Handler;
  readonly handlerTimeoutMs: number;
  readonly abortGraceMs: number;
  readonly now: () => number;
  /** Called exactly once. */
  readonly onEnd: (handling: Handling, ending: Ending) => void;
  readonly onTimeout: (handling: Handling) => void;
  /** A reclaimed handler settled after all. */
  readonly onLateSettle: () => void;
}

/** One handler at work on one message: it ends exactly once, within its time-out plus grace, whatever the handler does. */
export class Handling {
  readonly lease: Lease;
  readonly startedAtMs: number;
  readonly #options: HandlingOptions;
  readonly #controller = new AbortController();
  /** As the other one, but for the deadline. */
  readonly #outlasting = new AbortController();
  #outlasts = false;
  #deadline: NodeJS.Timeout | undefined;
  #reclaim: NodeJS.Timeout | undefined;
  #abortedBy: AbortCause | undefined;
  #ended = false;

  constructor(lease: Lease, options: HandlingOptions) {
    this.lease = lease;
    this.#options = options;
    this.startedAtMs = options.now();
  }

  /** Calls the handler in this very tick. */
  start(): void {
    const { handler, handlerTimeoutMs, onTimeout } = this.#options;
    this.#deadline = setTimeout(() => {
      this.abort('timed-out', `the handler ran longer than ${handlerTimeoutMs} ms`);
      onTimeout(this);
    }, handlerTimeoutMs);
    const deadlineAt = new Date(this.startedAtMs + handlerTimeoutMs);
    const settled = callNow(() =>
      handler(this.lease.message, {
        signal: this.#controller.signal,
        deadlineAt,
        outlast: () => this.#outlast(),
      }),
    );
    settled.then(
      (outcome) => this.#settle({ kind: 'returned', outcome, abortedBy: this.#abortedBy }),
      (error: unknown) => this.#settle({ kind: 'threw', error, abortedBy: this.#abortedBy }),
    );
  }

  /** Whether it waits for what it must not give up, past any deadline. */
  get outlasts(): boolean {
    return this.#outlasts && !this.#ended;
  }

  #outlast(): AbortSignal {
    this.#outlasts = true;
    clearTimeout(this.#deadline);
    if (this.#abortedBy === 'timed-out') {
      clearTimeout(this.#reclaim);
      this.#abortedBy = undefined;
    }
    return this.#outlasting.signal;
  }

  /** Tells the handler to stop. It may still settle within the grace; then the slot is taken back. */
  abort(cause: AbortCause, why: string, graceMs = this.#options.abortGraceMs): void {
    if (this.#ended) return;
    // A lost lease outranks every other cause: whatever the handler says now, the message is no longer ours to settle.
    if (this.#abortedBy === undefined || cause === 'lease-lost') this.#abortedBy = cause;
    const abortedBy = this.#abortedBy;
    const reason = new HandlingAbortedError(cause, why);
    this.#controller.abort(reason);
    if (cause !== 'timed-out') this.#outlasting.abort(reason);
    clearTimeout(this.#reclaim);
    this.#reclaim = setTimeout(() => this.#end({ kind: 'reclaimed', abortedBy }), graceMs);
  }

  #settle(ending: Ending): void {
    if (this.#ended) this.#options.onLateSettle();
    else this.#end(ending);
  }

  #end(ending: Ending): void {
    this.#ended = true;
    clearTimeout(this.#deadline);
    clearTimeout(this.#reclaim);
    this.#options.onEnd(this, ending);
  }
}

function callNow<T>(call: () => Promise<T>): Promise<T> {
  try {
    return Promise.resolve(call());
  } catch (error) {
    return Promise.reject(error);
  }
}
