import type { Span } from '@opentelemetry/api';
import type { ResolvedOptions } from './consumer-options.ts';
import { emptyHandlingCounts, type HandlingCounts } from './consumer-stats.ts';
import { type Decision, decideSettlement } from './decide-settlement.ts';
import { type Ending, Handling } from './handling.ts';
import { type Lease, LeaseKeeper } from './leases.ts';
import type { QueueMessage } from './message.ts';
import { type HandledEvent, tell } from './queue-observer.ts';
import { endProcess, startProcess, within } from './queue-spans.ts';
import { settleMessage } from './settle-message.ts';
import { Settler } from './settler.ts';

const declined: Decision = { settlement: { kind: 'release' }, outcome: 'released', reason: 'shutdown' };
const lost: Decision = { settlement: { kind: 'none' }, outcome: 'lease-lost' };

/** What has been received: keeps its leases, runs its handlers, settles what they decide, gives the slots back. */
export class MessageRunner {
  readonly #options: ResolvedOptions;
  readonly #onFinished: () => void;
  readonly #leases: LeaseKeeper;
  readonly #settler: Settler;
  readonly #running = new Map<Lease, Handling>();
  /** Received ahead of room: kept, not started. A Set, because a lost lease leaves from the middle. */
  readonly #waiting = new Set<Lease>();
  readonly #settling = new Set<Promise<void>>();
  readonly #counts = emptyHandlingCounts();
  #refill: NodeJS.Immediate | undefined;
  #wedged = 0;
  #endedAtMs: number;
  #onQuiet: (() => void) | undefined;

  constructor(options: ResolvedOptions, onFinished: () => void) {
    const { clients, queue, now, random, observer, settleDelayMs: maxDelayMs } = options;
    this.#options = options;
    this.#onFinished = onFinished;
    this.#endedAtMs = now();
    const { url: queueUrl, deadLetterUrl, visibilityTimeoutSeconds } = queue;
    this.#settler = new Settler({ clients, queueUrl, deadLetterUrl, maxDelayMs, now, random });
    this.#leases = new LeaseKeeper({
      visibilityTimeoutSeconds,
      now,
      extend: (extensions) => this.#settler.extend(extensions),
      onLost: (lease, reason) => {
        tell(observer.leaseLost, { message: lease.message, reason });
        if (this.#waiting.delete(lease)) this.#skip(lease, lost);
        this.#running.get(lease)?.abort('lease-lost', `the lease on the message is lost: ${reason}`);
      },
      onError: ({ message }, code, error) => tell(observer.leaseError, { message, code, error }),
    });
  }

  get counts(): Readonly<HandlingCounts> {
    return this.#counts;
  }

  get inFlight(): number {
    return this.#running.size;
  }

  /** Received and not started. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Handlers that have done what can't be undone and wait for its record. */
  get outlasting(): number {
    return [...this.#running.values()].filter((handling) => handling.outlasts).length;
  }

  get settling(): number {
    return this.#settling.size;
  }

  get wedged(): number {
    return this.#wedged;
  }

  /** When a handling last ended. */
  get endedAtMs(): number {
    return this.#endedAtMs;
  }

  start(): void {
    this.#leases.start();
  }

  /** Starts in this very tick as many handlers as may run, so that a Batcher inside them makes one statement of one receive. */
  handle(messages: readonly QueueMessage[]): void {
    for (const message of messages) this.#waiting.add(this.#leases.add(message));
    this.#startWaiting();
  }

  /** Gives messages back unseen: for those that a shutdown leaves no time for. They lose no attempt. */
  decline(messages: readonly QueueMessage[]): void {
    for (const message of messages) this.#skip(this.#leases.add(message), declined);
  }

  /** Declines what is received and not started. */
  declineWaiting(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const lease of waiting) this.#skip(lease, declined);
  }

  /** Resolves when no handler runs. */
  quiet(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onQuiet = resolve;
    });
  }

  /** Tells every handler to stop; those that have not within `graceMs` are released. */
  abortAll(graceMs: number): void {
    for (const handling of this.#running.values()) {
      handling.abort('shutdown', 'the process is shutting down', graceMs);
    }
  }

  /** Resolves when everything that was decided is settled; nothing waits for company any more. */
  async flush(): Promise<void> {
    await Promise.all([this.#settler.hurry(), ...this.#settling]);
  }

  stop(): void {
    clearImmediate(this.#refill);
    this.#leases.stop();
  }

  #startWaiting(): void {
    for (const lease of this.#waiting) {
      if (this.#running.size >= this.#options.maxInFlight) return;
      this.#waiting.delete(lease);
      const span = startProcess(this.#options.queue.name, lease.message);
      const handling = this.#createHandling(lease, span);
      this.#running.set(lease, handling);
      within(span, () => handling.start());
    }
  }

  #createHandling(lease: Lease, span: Span): Handling {
    const { handler, handlerTimeoutMs, abortGraceMs, now, observer } = this.#options;
    return new Handling(lease, {
      handler,
      handlerTimeoutMs,
      abortGraceMs,
      now,
      onEnd: (handling, ending) => this.#conclude(handling, ending, span),
      onTimeout: () => tell(observer.timedOut, { message: lease.message, handlerTimeoutMs }),
      onLateSettle: () => {
        this.#wedged -= 1;
      },
    });
  }

  #conclude(handling: Handling, ending: Ending, span: Span): void {
    const { lease, startedAtMs } = handling;
    const decision = decideSettlement(ending, lease.message, this.#options.random);
    this.#running.delete(lease);
    this.#endedAtMs = this.#options.now();
    if (ending.kind === 'reclaimed') this.#wedged += 1;
    const described = this.#describe(lease, decision, this.#endedAtMs - startedAtMs);
    const event = ending.kind === 'threw' ? { ...described, error: ending.error } : described;
    endProcess(span, event);
    this.#finish(lease, decision, event);
    if (this.#running.size === 0) this.#onQuiet?.();
    if (this.#waiting.size === 0) return;
    // Once for all that end in this tick: what was handled as one statement makes room for the next one's messages together.
    this.#refill ??= setImmediate(() => {
      this.#refill = undefined;
      this.#startWaiting();
    });
  }

  #skip(lease: Lease, decision: Decision): void {
    this.#finish(lease, decision, this.#describe(lease, decision, 0));
  }

  #finish(lease: Lease, { settlement, outcome }: Decision, event: HandledEvent): void {
    this.#counts[outcome] += 1;
    tell(this.#options.observer.handled, event);
    const deps = { leases: this.#leases, settler: this.#settler };
    const settling = settleMessage(deps, lease, settlement, (action, error) => {
      this.#counts.settleErrors += error === undefined ? 0 : 1;
      tell(this.#options.observer.settled, { message: lease.message, action, error });
    }).finally(() => this.#settling.delete(settling));
    this.#settling.add(settling);
    // The next message need not wait for this one's delete, unless deletes have fallen a whole window behind.
    if (this.#settling.size <= this.#options.maxInFlight) this.#onFinished();
    else settling.then(this.#onFinished);
  }

  #describe({ message }: Lease, { settlement, outcome, reason }: Decision, durationMs: number): HandledEvent {
    return {
      message,
      outcome,
      durationMs,
      ageMs: Math.max(0, this.#options.now() - message.sentAt.getTime()),
      receiveCount: message.receiveCount,
      ...(reason === undefined ? {} : { reason }),
      ...(settlement.kind === 'retry' ? { retryDelaySeconds: settlement.delaySeconds } : {}),
    };
  }
}
