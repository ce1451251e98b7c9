import { batchesOfTen, type EntryResult } from './batch-call.ts';
import type { QueueMessage } from './message.ts';

/** Our hold on one received message. */
export interface Lease {
  readonly message: QueueMessage;
  readonly receivedAtMs: number;
  /** Until then, by our clock, SQS hides the message from others for certain. */
  untilMs: number;
  /** The extension on its way, if there is one: a later change of visibility must not be overtaken by it. */
  extending: Promise<void> | undefined;
}

export interface LeaseKeeperOptions {
  readonly visibilityTimeoutSeconds: number;
  readonly now: () => number;
  /** One ChangeMessageVisibilityBatch of at most 10; one result per entry, in order. */
  readonly extend: (entries: readonly Extension[]) => Promise<readonly EntryResult<unknown>[]>;
  readonly onLost: (lease: Lease, reason: string) => void;
  /** An extension failed that will be tried again. */
  readonly onError: (lease: Lease, code: string, cause: unknown) => void;
}

export interface Extension {
  readonly lease: Lease;
  readonly seconds: number;
}

/** SQS ends every hold 12 h after the receive, whatever was extended; we stop a little before. */
const longestHoldMs = 12 * 3_600_000 - 10_000;

/**
 * Keeps messages invisible while their handlers run: one timer for all, one request per ten messages. A lease is extended when
 * half of it is spent and tried again six times a lease, so two failures in a row lose nothing. A lease is lost when SQS says so
 * or when our clock says that it must have run out, and then at that moment.
 */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  readonly #leases = new Set<Lease>();
  readonly #visibilityMs: number;
  readonly #everyMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#visibilityMs = options.visibilityTimeoutSeconds * 1_000;
    this.#everyMs = Math.min(5_000, this.#visibilityMs / 6);
  }

  start(): void {
    this.#timer ??= setTimeout(() => this.#tick(), this.#everyMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#leases.clear();
  }

  /** Starts to keep a message that was received just now. */
  add(message: QueueMessage): Lease {
    const receivedAtMs = this.#options.now();
    // SQS began to count when it chose the message, up to a round trip before we saw it.
    const marginMs = Math.min(1_000, this.#visibilityMs / 10);
    const untilMs = receivedAtMs + this.#visibilityMs - marginMs;
    const lease: Lease = { message, receivedAtMs, untilMs, extending: undefined };
    this.#leases.add(lease);
    return lease;
  }

  /** No extension starts after this. One that is on its way is in `lease.extending`. */
  remove(lease: Lease): void {
    this.#leases.delete(lease);
  }

  /** Comes again earlier than usual where a lease ends before: after its end the message may be with somebody else. */
  #tick(): void {
    this.sweep();
    // What was told of a loss may have stopped us.
    if (this.#timer === undefined) return;
    const nowMs = this.#options.now();
    let pauseMs = this.#everyMs;
    for (const { untilMs } of this.#leases) pauseMs = Math.min(pauseMs, untilMs - nowMs);
    this.#timer = setTimeout(() => this.#tick(), Math.max(0, pauseMs));
  }

  /** What the timer does; public so that a test can hold the clock. */
  sweep(): void {
    const nowMs = this.#options.now();
    const due: Extension[] = [];
    for (const lease of this.#leases) {
      if (nowMs >= lease.untilMs) this.#lose(lease, 'its time ran out without a successful extension');
      else if (lease.extending === undefined) this.#collect(lease, nowMs, due);
    }
    for (const entries of batchesOfTen(due)) this.#extend(entries);
  }

  #collect(lease: Lease, nowMs: number, due: Extension[]): void {
    const leftMs = lease.untilMs - nowMs;
    if (leftMs > this.#visibilityMs / 2) return;
    const allowedMs = Math.min(this.#visibilityMs, lease.receivedAtMs + longestHoldMs - nowMs);
    const seconds = Math.floor(allowedMs / 1_000);
    if (seconds * 1_000 > leftMs) due.push({ lease, seconds });
  }

  #extend(entries: readonly Extension[]): void {
    const sentAtMs = this.#options.now();
    const extending = this.#options
      .extend(entries)
      .catch((cause: unknown) => entries.map(() => ({ ok: false, code: 'ExtendFailed', cause }) as const))
      .then((results) => {
        for (const [index, extension] of entries.entries())
          this.#conclude(extension, sentAtMs, results[index]);
      });
    for (const { lease } of entries) lease.extending = extending;
  }

  #conclude({ lease, seconds }: Extension, sentAtMs: number, result: ExtensionResult | undefined): void {
    lease.extending = undefined;
    // Finished meanwhile: what SQS says about an old handle concerns nobody.
    if (!this.#leases.has(lease)) return;
    if (result?.ok === true) lease.untilMs = sentAtMs + seconds * 1_000;
    else if (result !== undefined && isLoss.test(result.code)) this.#lose(lease, result.code);
    else this.#options.onError(lease, result?.code ?? 'NoResult', result?.cause);
  }

  #lose(lease: Lease, reason: string): void {
    this.#leases.delete(lease);
    lease.untilMs = Number.NEGATIVE_INFINITY;
    this.#options.onLost(lease, reason);
  }
}

type ExtensionResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: string; readonly cause?: unknown };

/** InvalidParameterValue is how SQS words "the receipt handle has expired". */
const isLoss = /ReceiptHandleIsInvalid|MessageNotInflight|InvalidParameterValue/;
