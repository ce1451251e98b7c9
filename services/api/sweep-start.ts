export type SweepStartOptions = {
  /** how often a look begins with the oldest row there is */
  wholeEveryMs: number;
  /** of this process, and steady */
  nowMs: () => number;
};

/** From where one look goes, on the clock of the database; null: from the oldest row. */
export type Look = { fromMs: number | null; ended: (untilMs: number) => void };

/**
 * Where a sweep goes on, of which several lanes may be under way. A look that failed moves nothing: one from the oldest row
 * that takes longer than the server allows, past all that was sent since a snapshot was opened, must not stop the others.
 */
export class SweepStart {
  readonly #options: SweepStartOptions;
  #untilMs: number | null = null;
  #wholeAtMs = Number.NEGATIVE_INFINITY;
  #wholes = 0;
  #lastWasWhole = false;

  constructor(options: SweepStartOptions) {
    this.#options = options;
  }

  next(): Look {
    const nowMs = this.#options.nowMs();
    // Never two in a row, however seldom a sweep comes that waits longer after each failure.
    const isWhole = nowMs >= this.#wholeAtMs && !this.#lastWasWhole;
    this.#lastWasWhole = isWhole;
    if (isWhole) this.#wholeAtMs = nowMs + this.#options.wholeEveryMs;
    const begun = this.#wholes;
    return {
      fromMs: isWhole ? null : this.#untilMs,
      ended: (untilMs) => {
        if (isWhole) {
          this.#wholes += 1;
          this.#untilMs = untilMs;
        } else if (begun === this.#wholes) {
          // Else it looked past what was found at the beginning meanwhile, and of which more may be there.
          this.#untilMs = Math.max(this.#untilMs ?? untilMs, untilMs);
        }
      },
    };
  }
}
