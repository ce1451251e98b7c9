import { AsyncLocalStorage } from 'node:async_hooks';
import { loopPauseMs } from '../queue/backoff.ts';
import { pause } from '../queue/pause.ts';
import type { Random } from '../runtime/clock.ts';

export type LoopOptions = {
  everyMs: number;
  /** One round. A rejection is reported, and the next round waits longer: up to half a minute, with jitter. */
  run: (signal: AbortSignal) => Promise<void>;
  onFailure: (error: unknown, nextTryMs: number) => void;
  random: Random;
};

/** Does something again and again until it is stopped; never twice at once, and never gives up. */
export class Loop {
  readonly #options: LoopOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: LoopOptions) {
    this.#options = options;
  }

  start(): void {
    // Outside of whatever context the caller is in: a span or log line of this loop belongs to no request.
    this.#running ??= AsyncLocalStorage.snapshot()(() => this.#rounds());
  }

  /** Lets the round under way end. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #rounds(): Promise<void> {
    const { signal } = this.#stopping;
    let failures = 0;
    while (!signal.aborted) {
      let pauseMs = this.#options.everyMs;
      try {
        await this.#options.run(signal);
        failures = 0;
      } catch (error) {
        failures += 1;
        pauseMs = Math.max(pauseMs, loopPauseMs(failures, this.#options.random));
        this.#options.onFailure(error, pauseMs);
      }
      await pause(pauseMs, signal);
    }
  }
}
