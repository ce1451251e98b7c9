import type { Kysely } from 'kysely';
import { type BudgetRow, type PointsAsked, takePoints } from '../database/queries/rate-limits.ts';
import type { Database } from '../database/schema.ts';
import { Together } from './together.ts';

export type RateLimitStoreOptions = {
  timeoutMs: number;
  /** after a failure the store is left alone for this long: a hung database must not cost every request its time-out */
  pauseMs: number;
  onFailure: (error: unknown) => void;
};

/**
 * Requests per statement. Each of their budgets is locked, out of a memory that all sessions of the server share and that twenty
 * processes with 500 budgets each would use up. 2,000 networks at once take as long with 100 as with 500.
 */
const mostTogether = 100;

/**
 * Budgets in Postgres. One statement runs at a time and takes all that came in while the last one ran: under load a
 * request costs a fraction of a round trip, and no two wait for one row. Answers or fails within `timeoutMs`.
 */
export class RateLimitStore {
  readonly #db: Kysely<Database>;
  readonly #options: RateLimitStoreOptions;
  readonly #together = new Together<PointsAsked, BudgetRow>({
    run: (batch) => this.#run(batch),
    lanes: 1,
    maxSize: mostTogether,
  });
  #pausedUntil = 0;

  constructor(db: Kysely<Database>, options: RateLimitStoreOptions) {
    this.#db = db;
    this.#options = options;
  }

  /** Takes a point from the budget of a key; answers whether there was one, and how many are taken by now. */
  take(asked: PointsAsked): Promise<BudgetRow> {
    if (this.#isPaused()) return Promise.reject(paused());
    return this.#together.add(asked);
  }

  async #run(batch: readonly PointsAsked[]): Promise<BudgetRow[]> {
    // They queued behind a statement that failed; another one would cost them another time-out.
    if (this.#isPaused()) throw paused();
    const byKey = new Map<string, PointsAsked>();
    for (const asked of batch) {
      byKey.set(asked.key, { ...asked, points: asked.points + (byKey.get(asked.key)?.points ?? 0) });
    }
    try {
      return oneByOne(
        batch,
        await within(this.#options.timeoutMs, takePoints(this.#db, [...byKey.values()])),
      );
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

/** What a budget granted goes to those who came first; each is told the count as it stood after its own turn. */
function oneByOne(batch: readonly PointsAsked[], rows: readonly BudgetRow[]): BudgetRow[] {
  const left = new Map(rows.map((row) => [row.key, { ...row, used: row.used - row.granted }]));
  return batch.map(({ key, points }) => {
    const row = left.get(key);
    if (!row) throw new Error('a budget is missing from the answer of the store');
    const granted = Math.min(points, row.granted);
    const after = { ...row, granted: row.granted - granted, used: row.used + granted };
    left.set(key, after);
    return { ...after, granted };
  });
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
