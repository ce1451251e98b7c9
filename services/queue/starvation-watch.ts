import type { QueueDepth } from './queue-depth.ts';

export type Depth = Pick<QueueDepth, 'visible' | 'inFlight'>;

export interface StarvationWatchOptions {
  readonly emptyReceivesBeforeCheck: number;
  readonly checkIntervalMs: number;
  readonly now: () => number;
  readonly askDepth: () => Promise<Depth>;
  readonly onStarved: (event: Depth & { emptyReceives: number }) => void;
  readonly onError: (error: unknown) => void;
}

/**
 * Notices a queue that has messages but gives none: at 120,000 in flight SQS answers long polls with silence, not with an error.
 * The depth is approximate and lags behind by up to a minute, so one answer proves nothing: the alarm needs two in a row,
 * `checkIntervalMs` apart, with nothing received between. It repeats with every further check while the state lasts.
 */
export class StarvationWatch {
  readonly #options: StarvationWatchOptions;
  #emptyReceives = 0;
  #lastCheckAtMs = Number.NEGATIVE_INFINITY;
  #suspected = false;
  #starved = false;

  constructor(options: StarvationWatchOptions) {
    this.#options = options;
  }

  get starved(): boolean {
    return this.#starved;
  }

  observe(received: number): void {
    if (received > 0) {
      this.#emptyReceives = 0;
      this.#suspected = false;
      this.#starved = false;
      return;
    }
    this.#emptyReceives += 1;
    const { emptyReceivesBeforeCheck, checkIntervalMs, now } = this.#options;
    if (this.#emptyReceives < emptyReceivesBeforeCheck || now() - this.#lastCheckAtMs < checkIntervalMs)
      return;
    this.#lastCheckAtMs = now();
    this.#check().catch(this.#options.onError);
  }

  async #check(): Promise<void> {
    const depth = await this.#options.askDepth();
    // Something was received while the question was on its way: its answer is about another time.
    if (this.#emptyReceives === 0) return;
    this.#starved = this.#suspected && depth.visible > 0;
    this.#suspected = depth.visible > 0;
    if (this.#starved) {
      const { visible, inFlight } = depth;
      this.#options.onStarved({ visible, inFlight, emptyReceives: this.#emptyReceives });
    }
  }
}
