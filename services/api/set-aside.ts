import { isBusy, mayBlameRow } from '../database/errors.ts';
import { DueGiftsRefusedError } from '../domain/gifts/due-gifts-refused.ts';
import type { GiftId } from '../domain/ids.ts';

/** More gifts than this are not single rows any more: the duty as a whole fails, and says so. */
const most = { refused: 1_000, busy: 20 };
const againMs = { refused: 600_000, busy: 60_000 };

export type SetAsideOptions = {
  /** gifts per step while nothing is refused */
  step: number;
  nowMs: () => number;
  onSetAside: (gift: GiftId, error: unknown) => void;
};

/**
 * Does a duty step by step, and when a step is refused for what one gift of it may be to blame for, with ever fewer gifts
 * until that one stands alone. It is set aside for a while, named, and the others go on: one illegal row at the head of a
 * sweep would otherwise stop it for ever.
 */
export class SetAside {
  readonly #options: SetAsideOptions;
  readonly #until = new Map<GiftId, number>();
  #limit: number;

  constructor(options: SetAsideOptions) {
    this.#options = options;
    this.#limit = options.step;
  }

  get size(): number {
    return this.#until.size;
  }

  /** @returns whether there may be more to do */
  async run(duty: (limit: number, except: readonly GiftId[]) => Promise<number>): Promise<boolean> {
    const limit = this.#limit;
    try {
      const done = await duty(limit, this.#current());
      this.#limit = Math.min(this.#options.step, limit * 2);
      return done === limit;
    } catch (error) {
      this.#narrow(error);
      return true;
    }
  }

  #narrow(error: unknown): void {
    const { step, nowMs, onSetAside } = this.#options;
    if (!(error instanceof DueGiftsRefusedError) || !mayBlameRow(error.cause)) throw error;
    const [only] = error.ids;
    if (error.ids.length > 1 || only === undefined) {
      this.#limit = Math.max(1, Math.floor(Math.min(this.#limit, error.ids.length) / 2));
      return;
    }
    this.#limit = step;
    const kind = isBusy(error.cause) ? 'busy' : 'refused';
    if (this.#until.size >= most[kind]) throw error;
    this.#until.set(only, nowMs() + againMs[kind]);
    onSetAside(only, error.cause);
  }

  #current(): GiftId[] {
    const nowMs = this.#options.nowMs();
    for (const [gift, until] of this.#until) if (until <= nowMs) this.#until.delete(gift);
    return [...this.#until.keys()];
  }
}
