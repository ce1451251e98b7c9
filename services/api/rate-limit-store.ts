import type { Kysely } from 'kysely';
import { type BudgetRow, takePoints } from '../database/queries/rate-limits.ts';
import type { Database } from '../database/schema.ts';
import { Together } from './together.ts';

export type RateLimitStoreOptions = {
  timeoutMs: number;
  /** after a failure the store is left alone for this long: a hung database must not cost every request its time-out */
  pauseMs: number;
  onFailure: (error: unknown) => void;
};

type Taking = { key: string; points: number; windowMs: number };

/**
 * Budgets in Postgres. One statement runs at a time and takes all that came in while the last one ran: under load a
 * request costs a fraction of a round trip, and no two wait for one row. Answers or fails within `timeoutMs`.
 */
export class RateLimitStore {
  readonly #db: Kysely<Database>;
  readonly #options: RateLimitStoreOptions;
  readonly #together = new Together<Taking, BudgetRow>({
    run: (batch) => this.#run(batch),
    lanes: 1,
    maxSize: 500,
  });
  #pausedUntil = 0;

  constructor(db: Kysely<Database>, options: RateLimitStoreOptions) {
    this.#db = db;
    this.#options = options;
  }

  /** Takes points from the budget of a key; answers how many are taken by now, this time's included. */
  take(key: string, points: number, windowMs: number): Promise<BudgetRow> {
    if (this.#isPaused()) return Promise.reject(paused());
    return this.#together.add({ key, points, windowMs });
  }

  async #run(batch: readonly Taking[]): Promise<BudgetRow[]> {
    // They queued behind a statement that failed; another one would cost them another time-out.
    if (this.#isPaused()) throw paused();
    const byKey = new Map<string, Taking>();
    for (const { key, points, windowMs } of batch) {
      byKey.set(key, { key, windowMs, points: points + (byKey.get(key)?.points ?? 0) });
    }
    try {
      const taking = takePoints(this.#db, [...byKey.values()], Date.now());
      return oneByOne(batch, await within(this.#options.timeoutMs, taking));
    } catch (error) {
      this.#pausedUntil = performance.now() + this.#options.pauseMs;
      this.#options.onFailure(error);
      throw error;
    }
  }

  #isPaused(): boolean {
    return performance.now() < this.#pausedUntil;
  }
}

function paused(): Error {
  return new Error('the store failed a moment ago');
}

/** Each is told the count as it stood after its own turn, as if they had come one after the other. */
function oneByOne(batch: readonly Taking[], rows: readonly BudgetRow[]): BudgetRow[] {
  const left = new Map(rows.map((row) => [row.key, row]));
  const backwards = batch.toReversed().map(({ key, points }) => {
    const row = left.get(key);
    if (!row) throw new Error('a budget is missing from the answer of the store');
    left.set(key, { ...row, points: row.points - points });
    return row;
  });
  return backwards.reverse();
}

async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`the rate limit store took over ${timeoutMs} ms`)),
    timeoutMs,
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
