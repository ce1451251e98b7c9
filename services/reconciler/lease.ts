import type { Kysely } from 'kysely';
import {
  endLease,
  findLeaseHolder,
  type LeaseHolder,
  renewLease,
  takeLease,
} from '../database/queries/reconciler-leases.ts';
import type { Database } from '../database/schema.ts';

export const leaseTtlSeconds = 60;

export type LeaseOptions = {
  /** uuid of the run */
  holder: string;
  ttlSeconds?: number;
  /** told of each renewal that failed; until the time is over, the next may succeed */
  onRenewalFailed?: (error: unknown) => void;
};

/** Takes the lease of a queue, or says who holds it. */
export async function acquireLease(
  db: Kysely<Database>,
  queue: string,
  options: LeaseOptions,
): Promise<{ lease: Lease } | { heldBy: LeaseHolder }> {
  const { holder, ttlSeconds = leaseTtlSeconds } = options;
  const askedAtMs = performance.now();
  const row = await takeLease(db, queue, holder, ttlSeconds);
  if (row !== null) return { lease: new Lease(db, queue, row.token, askedAtMs, options) };
  const heldBy = await findLeaseHolder(db, queue);
  return heldBy === null ? acquireLease(db, queue, options) : { heldBy };
}

/** The right to work on one queue alone, for as long as it is renewed. Prolongs itself until `release`. */
export class Lease {
  readonly #db: Kysely<Database>;
  readonly #queue: string;
  readonly #token: number;
  readonly #options: LeaseOptions;
  readonly #ttlMs: number;
  readonly #lost = new AbortController();
  #validUntilMs: number;
  #released = false;
  #timer: NodeJS.Timeout;

  constructor(
    db: Kysely<Database>,
    queue: string,
    token: number,
    /** on the clock of `performance.now()`, before the database was asked: the lease ends there no later than here */
    takenAtMs: number,
    options: LeaseOptions,
  ) {
    this.#db = db;
    this.#queue = queue;
    this.#token = token;
    this.#options = options;
    this.#ttlMs = (options.ttlSeconds ?? leaseTtlSeconds) * 1_000;
    this.#validUntilMs = takenAtMs + this.#ttlMs;
    this.#timer = this.#renewLater();
  }

  /** Aborted once the lease is known to be lost. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /**
   * Asks the database, and prolongs. True: what is begun in this moment is done by the holder. A process that was
   * paused past its time gets false, and must touch nothing any more.
   * @throws the database's error when it can't be asked
   */
  async confirm(): Promise<boolean> {
    const askedAtMs = performance.now();
    const renewed = await renewLease(this.#db, this.#queue, this.#token, this.#ttlMs / 1_000);
    if (renewed) this.#validUntilMs = askedAtMs + this.#ttlMs;
    else this.#lose();
    return this.isValid();
  }

  /** By the local clock alone: also a process that was paused right after {@link confirm} sees that time has passed. */
  isValid(): boolean {
    return !this.#lost.signal.aborted && performance.now() < this.#validUntilMs;
  }

  async release(): Promise<void> {
    this.#released = true;
    clearTimeout(this.#timer);
    if (!this.#lost.signal.aborted) await endLease(this.#db, this.#queue, this.#token);
  }

  #renewLater(): NodeJS.Timeout {
    return setTimeout(() => {
      this.confirm()
        .catch((error: unknown) => {
          this.#options.onRenewalFailed?.(error);
          if (!this.isValid()) this.#lose();
        })
        .finally(() => {
          if (!this.#released && !this.#lost.signal.aborted) this.#timer = this.#renewLater();
        });
    }, this.#ttlMs / 3);
  }

  #lose(): void {
    clearTimeout(this.#timer);
    this.#lost.abort(new Error('the lease ran out or was taken by another run'));
  }
}
