import type { Kysely } from 'kysely';
import { type BudgetRow, takePoints } from '../database/queries/rate-limits.ts';
import type { Database } from '../database/schema.ts';

export type RateLimitStoreOptions = {
  timeoutMs: number;
  /** after a failure the store is left alone for this long: a hung database must not cost every request its time-out */
  pauseMs: number;
  onFailure: (error: unknown) => void;
};

type Waiter = {
  key: string;
  points: number;
  windowMs: number;
  resolve: (row: BudgetRow) => void;
  reject: (error: unknown) => void;
};

/** Bounds a statement: more waiting than this is taken in turns. */
const maxBatch = 500;

/**
 * Budgets in Postgres. One statement runs at a time and takes all that came in while the last one ran: under load a
 * request costs a fraction of a round trip, and no two wait for one row. Answers or fails within `timeoutMs`.
 */
export class RateLimitStore {
  readonly #db: Kysely<Database>;
  readonly #options: RateLimitStoreOptions;
  #waiting: Waiter[] = [];
  #running = false;
  #pausedUntil = 0;

  constructor(db: Kysely<Database>, options: RateLimitStoreOptions) {
    this.#db = db;
    this.#options = options;
  }

  /** Takes points from the budget of a key; answers how many are taken by now, this time's included. */
  take(key: string, points: number, windowMs: number): Promise<BudgetRow> {
    if (performance.now() < this.#pausedUntil)
      return Promise.reject(new Error('the store failed a moment ago'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ key, points, windowMs, resolve, reject });
      if (!this.#running) void this.#runAll();
    });
  }

  async #runAll(): Promise<void> {
    this.#running = true;
    // What else came in with the same read of the sockets goes along.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) await this.#run(this.#waiting.splice(0, maxBatch));
    this.#running = false;
  }

  async #run(batch: readonly Waiter[]): Promise<void> {
    const groups = [...Map.groupBy(batch, ({ key }) => key).values()];
    try {
      const taken = groups.map((group) => ({
        key: group[0]?.key ?? '',
        points: group.reduce((sum, { points }) => sum + points, 0),
        windowMs: group[0]?.windowMs ?? 0,
      }));
      const rows = await within(this.#options.timeoutMs, takePoints(this.#db, taken, Date.now()));
      const byKey = new Map(rows.map((row) => [row.key, row]));
      for (const group of groups) answer(group, byKey.get(group[0]?.key ?? ''));
    } catch (error) {
      this.#pausedUntil = performance.now() + this.#options.pauseMs;
      this.#options.onFailure(error);
      for (const { reject } of batch) reject(error);
    }
  }
}

/** Each of a group is told the count as it stood after its own turn, as if they had come one by one. */
function answer(group: readonly Waiter[], row: BudgetRow | undefined): void {
  if (!row) throw new Error('a budget is missing from the answer of the store');
  let points = row.points - group.reduce((sum, waiter) => sum + waiter.points, 0);
  for (const waiter of group) {
    points += waiter.points;
    waiter.resolve({ ...row, points });
  }
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
