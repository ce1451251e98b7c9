import { setTimeout as wait } from 'node:timers/promises';
import { KubernetesError } from './kubernetes-error.ts';
import {
  givenBack,
  type LeaseObject,
  type LeaseSpec,
  renewed,
  type Sighting,
  stepTowardsLease,
  takenBy,
} from './lease-record.ts';
import type { Leases } from './leases.ts';

export type LeadershipTimes = {
  /** others take a Lease that was not renewed for so long */
  durationSeconds: number;
  /** its holder counts it as lost earlier, so that never two believe that they have it */
  holdSeconds: number;
  renewSeconds: number;
  /** until the next look, after somebody was faster */
  beatenSeconds: number;
};

const standardTimes: LeadershipTimes = {
  durationSeconds: 30,
  holdSeconds: 20,
  renewSeconds: 5,
  beatenSeconds: 0.5,
};

export type LeadershipOptions = {
  /** who we are, for people: pod and run */
  identity: string;
  signal: AbortSignal;
  onRenewalFailed: (error: unknown) => void;
  times?: LeadershipTimes;
};

/** Whoever is faster shows with the next look. A server, or a webhook in it, that refuses every write shows nobody. */
const mostBeaten = 10;

/**
 * Takes the Lease, or says who is alive in it. A holder that died is waited for, for as long as its Lease says.
 * @throws KubernetesError
 */
export async function takeLeadership(
  leases: Leases,
  options: LeadershipOptions,
): Promise<{ leadership: Leadership } | { heldBy: string }> {
  const { identity, times = standardTimes, signal } = options;
  let first: Sighting | null = null;
  for (let beaten = 0; beaten < mostBeaten; ) {
    const lease = await leases.find({ tries: 4 });
    first ??= { spec: lease?.spec, atMs: performance.now() };
    const step = stepTowardsLease(first, lease?.spec, performance.now());
    if (step.kind === 'taken') return { heldBy: step.holder };
    if (step.kind === 'wait') await wait(step.ms, undefined, { signal });
    else {
      const askedAtMs = performance.now();
      const spec = takenBy(lease?.spec, identity, times.durationSeconds, new Date());
      const taken = await (lease === null ? leases.create(spec) : leases.replace(lease, spec));
      if (taken !== null) return { leadership: new Leadership(leases, taken, askedAtMs, options) };
      // Somebody was faster, and the next look shows a Lease that was not there at the first.
      beaten += 1;
      await wait(times.beatenSeconds * 1_000, undefined, { signal });
    }
  }
  const message = `the Lease ${leases.name} can't be taken: each of ${mostBeaten} writes was answered as if somebody had been faster`;
  throw new KubernetesError({ status: 409, reason: 'Conflict', message });
}

/** The right to reconcile alone, for as long as the API server confirms it. Prolongs itself until `release`. */
export class Leadership {
  readonly #leases: Leases;
  readonly #options: LeadershipOptions;
  readonly #times: LeadershipTimes;
  readonly #lost = new AbortController();
  #lease: LeaseObject;
  #validUntilMs = 0;
  #released = false;
  #timer: NodeJS.Timeout | undefined;
  #renewal: Promise<unknown> = Promise.resolve();

  constructor(leases: Leases, lease: LeaseObject, askedAtMs: number, options: LeadershipOptions) {
    this.#leases = leases;
    this.#lease = lease;
    this.#options = options;
    this.#times = options.times ?? standardTimes;
    this.#holdFrom(askedAtMs);
    this.#renewLater(this.#times.renewSeconds * 1_000);
  }

  /** Aborted once the Lease is known to be lost; the reason is a sentence. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** By our own clock: a process that was paused for too long sees it before anything else has run. */
  isValid(): boolean {
    return !this.#lost.signal.aborted && performance.now() < this.#validUntilMs;
  }

  /** Asks whether the Lease is still in our name, also after a time in which nobody could be asked. */
  async isOurs(): Promise<boolean> {
    const lease = await this.#leases.find();
    return lease?.spec?.holderIdentity === this.#options.identity;
  }

  /** The next run need not wait. A Lease that could not be given back is free after its time. */
  async release(): Promise<void> {
    this.#released = true;
    clearTimeout(this.#timer);
    await this.#renewal;
    if (await this.isOurs()) await this.#replace(givenBack);
  }

  #holdFrom(askedAtMs: number): void {
    this.#validUntilMs = askedAtMs + this.#times.holdSeconds * 1_000;
  }

  #renewLater(pauseMs: number): void {
    this.#timer = setTimeout(() => {
      this.#renewal = this.#renew().then((nextMs) => {
        // One that was under way when the Lease was given back is the last.
        if (!this.#released && !this.#lost.signal.aborted) this.#renewLater(nextMs);
      });
    }, pauseMs);
  }

  /** @returns milliseconds until the next time */
  async #renew(): Promise<number> {
    const { renewSeconds, holdSeconds } = this.#times;
    const askedAtMs = performance.now();
    try {
      if (await this.#replace(renewed)) this.#holdFrom(askedAtMs);
      else this.#lose('the Lease is gone or was taken by another run');
      return renewSeconds * 1_000;
    } catch (error) {
      this.#options.onRenewalFailed(error);
      if (!this.isValid()) this.#lose(`the Lease could not be renewed for ${holdSeconds} s`);
      return renewSeconds * 400;
    }
  }

  /** An answer that got lost, or a label that a person added, makes our copy old: then once more, if it is still ours. */
  async #replace(change: (spec: LeaseSpec, now: Date) => LeaseSpec): Promise<boolean> {
    for (const lease of [this.#lease, null]) {
      const seen = lease ?? (await this.#leases.find());
      if (seen?.spec?.holderIdentity !== this.#options.identity) return false;
      const written = await this.#leases.replace(seen, change(seen.spec, new Date()));
      if (written !== null) {
        this.#lease = written;
        return true;
      }
    }
    return false;
  }

  #lose(why: string): void {
    this.#lost.abort(new Error(why));
  }
}
