/**
 * How a pause of the mail server ends: with two mails at once, one more for each that does not fail. A server that takes one
 * mail and refuses the next (a rate limit) would else be given a whole window each time, only to hand it back: every
 * message pays with a receive, until SQS takes it for poison.
 */
export class SlowStart {
  readonly #endsAtMs: number;
  #limit = 2;
  #underWay = 0;

  constructor(nowMs: number) {
    this.#endsAtMs = nowMs + longestMs;
  }

  /** How many more may be tried now. */
  get room(): number {
    return Math.max(0, this.#limit - this.#underWay);
  }

  /** Whether the server has shown that it serves, or has had the time to: two mails that hang must not hold all others. */
  isOver(nowMs: number): boolean {
    return this.#limit >= enough || nowMs >= this.#endsAtMs;
  }

  leftMs(nowMs: number): number {
    return Math.max(0, this.#endsAtMs - nowMs);
  }

  begin(): void {
    this.#underWay += 1;
  }

  end(failed: boolean): void {
    this.#underWay -= 1;
    this.#limit = failed ? 1 : this.#limit + 1;
  }
}

const enough = 64;
const longestMs = 60_000;
