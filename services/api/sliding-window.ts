import { slotsPerWindow } from '../database/queries/rate-limits.ts';

export type WindowOptions = {
  quota: number;
  windowMs: number;
  /** of those that were not used for longest the oldest is forgotten: memory must not grow with the callers */
  maxKeys: number;
  nowMs: () => number;
};

/** Points taken by slots of time; no entry for a slot in which nothing was. */
type Taken = Map<number, number>;

/** Budgets in memory, by the rules of those in the database: no window ever holds more than the quota. */
export class SlidingWindows {
  readonly #options: WindowOptions;
  readonly #slotMs: number;
  readonly #byKey = new Map<string, Taken>();

  constructor(options: WindowOptions) {
    this.#options = options;
    this.#slotMs = slotMsOf(options.windowMs);
  }

  /** Takes a point if the quota allows. */
  take(key: string): { granted: number; used: number; reset_ms: number } {
    const { used } = this.look(key);
    const granted = used < this.#options.quota ? 1 : 0;
    if (granted === 1) this.#note(key);
    return { granted, ...this.look(key) };
  }

  look(key: string): { used: number; reset_ms: number } {
    const now = this.#options.nowMs();
    const taken = this.#byKey.get(key) ?? new Map<number, number>();
    const oldest = Math.floor(now / this.#slotMs) - slotsPerWindow;
    for (const slot of taken.keys()) if (slot < oldest) taken.delete(slot);
    const [first = oldest + slotsPerWindow] = taken.keys();
    const used = taken.values().reduce((sum, points) => sum + points, 0);
    return { used, reset_ms: Math.max(1, (first + slotsPerWindow + 1) * this.#slotMs - now) };
  }

  #note(key: string): void {
    const slot = Math.floor(this.#options.nowMs() / this.#slotMs);
    const taken: Taken = this.#byKey.get(key) ?? new Map();
    taken.set(slot, (taken.get(slot) ?? 0) + 1);
    this.#byKey.delete(key);
    this.#byKey.set(key, taken);
    const [oldest] = this.#byKey.keys();
    if (this.#byKey.size > this.#options.maxKeys && oldest !== undefined) this.#byKey.delete(oldest);
  }
}

export function slotMsOf(windowMs: number): number {
  return Math.ceil(windowMs / slotsPerWindow);
}
