import { setTimeout as wait } from 'node:timers/promises';
import type { Failure } from '../domain/failure-classes.ts';
import type { Admission } from '../queue/consumer-options.ts';
import { SlowStart } from './slow-start.ts';
import { isEnough, noSuspicion, suspect } from './suspicion.ts';

/** What one attempt tells of the mail server. */
export type MailObservation = { served: true } | { served: false; failure: Failure; deliveryId: string };

export type Pause = { failure: Failure; failedProbes: number; nextProbeMs: number; pausedMs: number };

export type MailBreakerOptions = {
  /** milliseconds of a clock that never steps back */
  nowMs: () => number;
  random: () => number;
  /** false: nothing is ever paused */
  pauses: boolean;
  /** told when a pause begins and when a probe has failed */
  onPause: (pause: Pause) => void;
  onResume: (pausedMs: number) => void;
};

/**
 * Why the database could not even say what is to be sent. `by`: one error is shared by all that asked in one statement; where
 * a row may be to blame it is the message, which proves no more the second time.
 */
export type DatabaseTrouble = { failure: Failure; by: unknown };

/** Leave to try one delivery. It is given back exactly once, with what the attempt told, or nothing when no mail was tried. */
export type Permit = {
  /** told of how the database answered the claim, before anything is mailed; null: it did */
  claimed: (trouble: DatabaseTrouble | null) => void;
  end: (told?: MailObservation) => void;
  /** aborted when a pause begins: what waits for a connection need not wait for one that serves nobody */
  revoked: AbortSignal;
};

/**
 * Stops consumption while what is wrong concerns every mail, or the database is away: the messages stay in their queue, and no
 * delivery pays with its attempts, no message with its receives. Then one delivery at a time is let through, after 1, 2, 4, … 300 s; when its mail is taken, or is refused
 * for its own recipient's sake, consumption goes on, slowly at first. Each process judges for itself: one that is cut off from the mail
 * server does not stop those that are not.
 */
export class MailBreaker {
  readonly #options: MailBreakerOptions;
  #suspicion = noSuspicion;
  #open: { failure: Failure; failedProbes: number; sinceMs: number; nextProbeAtMs: number } | undefined;
  #probing = false;
  /** claims that the database did not answer, in a row, with what the last one is known by */
  #unanswered: { count: number; by: unknown } = { count: 0, by: undefined };
  /** since a pause ended, until the server has shown that it serves again */
  #slow: SlowStart | undefined;
  #change = new AbortController();
  #pauseBegins = new AbortController();

  constructor(options: MailBreakerOptions) {
    this.#options = options;
  }

  /** Until the next probe; null while nothing is paused. */
  get pausedForMs(): number | null {
    return this.#open ? Math.max(0, this.#open.nextProbeAtMs - this.#options.nowMs()) : null;
  }

  /** How many messages may be received: any number, or a few after a pause, or one when a probe is due, or none. */
  get admission(): Admission {
    return { now: () => this.#allowed(), next: (signal) => this.#nextAllowed(signal) };
  }

  #allowed(): number {
    if (this.#open) return this.#isProbeDue() ? 1 : 0;
    if (this.#slow?.isOver(this.#options.nowMs())) this.#slow = undefined;
    return this.#slow?.room ?? Number.POSITIVE_INFINITY;
  }

  #isProbeDue(): boolean {
    return !this.#probing && this.pausedForMs === 0;
  }

  async #nextAllowed(signal: AbortSignal): Promise<number> {
    while (!signal.aborted) {
      const allowed = this.#allowed();
      if (allowed > 0) return allowed;
      const change = AbortSignal.any([signal, this.#change.signal]);
      await wait(this.#heldForMs(), undefined, { signal: change }).catch(() => undefined);
    }
    return 0;
  }

  /** Until more may be received by the clock alone. */
  #heldForMs(): number {
    if (this.#probing) return longestProbeMs;
    const heldMs = this.pausedForMs ?? this.#slow?.leftMs(this.#options.nowMs()) ?? 0;
    return Math.ceil(heldMs) + 1;
  }

  /** Leave to try a delivery; null while consumption is paused and no probe is due. */
  admit(): Permit | null {
    if (!this.#open) return this.#permit(false);
    if (!this.#isProbeDue()) return null;
    this.#probing = true;
    return this.#permit(true);
  }

  #permit(isProbe: boolean): Permit {
    let ended = false;
    const slow = isProbe ? undefined : this.#slow;
    slow?.begin();
    return {
      claimed: (trouble) => this.#judgeClaim(trouble, isProbe),
      // A probe is sent while everything else is paused.
      revoked: isProbe ? new AbortController().signal : this.#pauseBegins.signal,
      end: (told) => {
        if (ended) return;
        ended = true;
        if (isProbe) this.#probing = false;
        slow?.end(told?.served === false && told.failure.owner !== 'item');
        if (told?.served) this.#serves();
        else if (told) this.#judge(told.failure, told.deliveryId, isProbe);
        if (isProbe || slow) this.#announce();
      },
    };
  }

  #judge(failure: Failure, deliveryId: string, isProbe: boolean): void {
    // A server that judges the recipient serves.
    if (failure.owner === 'item') {
      if (this.#open) this.#serves();
      return;
    }
    if (this.#open) {
      if (isProbe) this.#stayPaused(failure);
      return;
    }
    this.#suspicion = suspect(this.#suspicion, failure, deliveryId);
    if (this.#options.pauses && isEnough(this.#suspicion)) this.#pause(failure);
  }

  /** The mail server does. Of a database that is away, a mail that was under way tells nothing. */
  #serves(): void {
    this.#suspicion = noSuspicion;
    if (this.#open && !isOfDatabase(this.#open.failure)) this.#resume();
  }

  /** One statement is lost with its connection now and then; the second in a row speaks of the database. */
  #judgeClaim(trouble: DatabaseTrouble | null, isProbe: boolean): void {
    if (trouble === null) {
      this.#unanswered = { count: 0, by: undefined };
      if (this.#open && isOfDatabase(this.#open.failure)) this.#resume();
    } else if (this.#open) {
      if (isProbe) this.#stayPaused(trouble.failure);
    } else if (trouble.by !== this.#unanswered.by) {
      this.#unanswered = { count: this.#unanswered.count + 1, by: trouble.by };
      if (this.#options.pauses && this.#unanswered.count >= 2) this.#pause(trouble.failure);
    }
  }

  #pause(failure: Failure): void {
    const sinceMs = this.#options.nowMs();
    this.#open = { failure, failedProbes: 0, sinceMs, nextProbeAtMs: sinceMs + this.#probeMs(0) };
    this.#slow = undefined;
    this.#pauseBegins.abort();
    this.#announce();
    this.#tell();
  }

  #stayPaused(failure: Failure): void {
    if (!this.#open) return;
    const failedProbes = this.#open.failedProbes + 1;
    const nextProbeAtMs = this.#options.nowMs() + this.#probeMs(failedProbes);
    // What a pause began with has to end: a mail server is not proven to serve by a database that is back.
    const shown = isOfDatabase(failure) ? this.#open.failure : failure;
    this.#open = { ...this.#open, failure: shown, failedProbes, nextProbeAtMs };
    this.#tell();
  }

  #resume(): void {
    if (!this.#open) return;
    this.#suspicion = noSuspicion;
    const pausedMs = this.#options.nowMs() - this.#open.sinceMs;
    this.#open = undefined;
    this.#slow = new SlowStart(this.#options.nowMs());
    this.#pauseBegins = new AbortController();
    this.#announce();
    this.#options.onResume(pausedMs);
  }

  #tell(): void {
    if (!this.#open) return;
    const { failure, failedProbes, sinceMs } = this.#open;
    const pausedMs = this.#options.nowMs() - sinceMs;
    this.#options.onPause({ failure, failedProbes, nextProbeMs: this.pausedForMs ?? 0, pausedMs });
  }

  /** Half fixed, half jitter: processes that were stopped together do not knock together. */
  #probeMs(failedProbes: number): number {
    const fullMs = Math.min(longestProbeMs, firstProbeMs * 2 ** Math.min(failedProbes, 20));
    return Math.ceil(fullMs / 2 + (this.#options.random() * fullMs) / 2);
  }

  #announce(): void {
    this.#change.abort();
    this.#change = new AbortController();
  }
}

function isOfDatabase({ code }: Failure): boolean {
  return code === 'database_unavailable';
}

const firstProbeMs = 1_000;
const longestProbeMs = 300_000;
