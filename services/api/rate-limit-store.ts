import type pg from 'pg';

export type BoundedStoreOptions = {
  timeoutMs: number;
  /** after a failure the store is left alone for this long: a hung database must not cost every request its time-out */
  pauseMs: number;
  onFailure: (error: unknown) => void;
};

type Query = { text: string; values?: unknown[] };

/** The pool as rate-limiter-flexible sees it, with an answer or an error within `timeoutMs`. */
export function boundedStore(pool: Pick<pg.Pool, 'query'>, options: BoundedStoreOptions) {
  let pausedUntil = 0;
  return {
    query: async ({ text, values }: Query): Promise<pg.QueryResult> => {
      if (performance.now() < pausedUntil) throw new Error('the rate limit store failed a moment ago');
      try {
        // Without the statement's name: prepared ones do not pass a transaction-pooling proxy.
        return await within(options.timeoutMs, pool.query(text, values ?? []));
      } catch (error) {
        pausedUntil = performance.now() + options.pauseMs;
        options.onFailure(error);
        throw error;
      }
    },
  };
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
