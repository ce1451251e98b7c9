/** How far ahead of room a receive may be: what the handlers will finish within this time, at the pace they keep. */
const aheadMs = 25;
/** The pace is averaged over about this time. */
const paceMs = 100;

/**
 * The room for messages. Receives take room before they ask and give back what they did not fill, so that what is asked for can
 * always be held. One loop may wait for room; others take it only when it is there at once.
 *
 * There is room for `capacity` messages, and for up to two batches more while handlers finish so fast (from 400 messages/s on)
 * that those wait for some 25 ms only: else a window that is refilled by tens would stand with five slots and a round trip's
 * worth of others empty. Slow handlers get nothing ahead, because another consumer may be idle.
 */
export class ReceiveWindow {
  readonly #capacity: number;
  readonly #mostAhead: number;
  #used = 0;
  #waiter: (() => void) | undefined;
  /** Messages per millisecond that were given back, decaying. */
  #pace = 0;
  #pacedAtMs = 0;

  constructor(capacity: number, batch: number) {
    this.#capacity = capacity;
    this.#mostAhead = 2 * batch;
  }

  get free(): number {
    return Math.max(0, this.#capacity + this.#ahead() - this.#used);
  }

  /** All of `count` or nothing. */
  tryTake(count: number): boolean {
    if (this.free < count) return false;
    this.#used += count;
    return true;
  }

  /**
   * Takes room for `batch` messages as soon as there is so much. After `patienceMs` it takes what there is, at least 1: with a
   * few long handlers in a small window the rest must not stand idle for a full batch. Answers 0 when aborted.
   */
  async take(batch: number, patienceMs: number, signal: AbortSignal): Promise<number> {
    const patientUntil = performance.now() + patienceMs;
    while (!signal.aborted) {
      const impatient = performance.now() >= patientUntil;
      const count = Math.min(batch, this.free);
      if (count === batch || (impatient && count >= 1)) {
        this.#used += count;
        return count;
      }
      await this.#change(impatient ? undefined : patientUntil - performance.now(), signal);
    }
    return 0;
  }

  /** Room that a receive did not fill. */
  giveBack(count: number): void {
    this.#used -= count;
    this.#waiter?.();
  }

  /** A message is finished. */
  finish(): void {
    const nowMs = performance.now();
    this.#pace = this.#paceAt(nowMs) + 1 / paceMs;
    this.#pacedAtMs = nowMs;
    this.giveBack(1);
  }

  /** For messages that came unasked (more than `MaxNumberOfMessages`): they are held all the same. */
  overfill(count: number): void {
    this.#used += count;
  }

  #change(timeoutMs: number | undefined, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        this.#waiter = undefined;
        resolve();
      };
      // Rounded up: a timer that fires a fraction early would spin once for nothing.
      const timer = timeoutMs === undefined ? undefined : setTimeout(wake, Math.ceil(timeoutMs) + 1);
      signal.addEventListener('abort', wake);
      this.#waiter = wake;
    });
  }

  #ahead(): number {
    return Math.min(this.#mostAhead, Math.floor(this.#paceAt(performance.now()) * aheadMs));
  }

  #paceAt(nowMs: number): number {
    return this.#pace * Math.exp((this.#pacedAtMs - nowMs) / paceMs);
  }
}
