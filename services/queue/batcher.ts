export interface BatcherOptions<In, Out> {
  /** One result per item, in order; an Error as a result fails that item alone. A rejection fails every item. */
  readonly run: (items: readonly In[]) => Promise<readonly (Out | Error)[]>;
  readonly maxSize: number;
  /** Longest time that the first item of a batch waits for company. 0: whatever was added in the same tick. */
  readonly maxDelayMs: number;
}

interface Waiter<In, Out> {
  readonly item: In;
  readonly resolve: (value: Out) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Makes one call of many: collects items until `maxSize` or `maxDelayMs`, runs them together, gives each caller its own result.
 * Every promise it hands out settles, whatever `run` does.
 */
export class Batcher<In, Out> {
  readonly #options: BatcherOptions<In, Out>;
  readonly #running = new Set<Promise<void>>();
  #pending: Waiter<In, Out>[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: BatcherOptions<In, Out>) {
    if (!(options.maxSize >= 1)) throw new RangeError('maxSize must be at least 1');
    if (!(options.maxDelayMs >= 0)) throw new RangeError('maxDelayMs must be 0 or more');
    this.#options = options;
  }

  /** Items that wait for their batch to start. */
  get size(): number {
    return this.#pending.length;
  }

  add(item: In): Promise<Out> {
    if (this.#closed) return Promise.reject(new Error('the batcher is closed'));
    return new Promise<Out>((resolve, reject) => {
      this.#pending.push({ item, resolve, reject });
      if (this.#pending.length >= this.#options.maxSize) this.#start();
      else this.#timer ??= setTimeout(() => this.#start(), this.#options.maxDelayMs);
    });
  }

  /** Starts what waits and resolves when nothing runs any more. Never rejects: the callers of `add` hold the results. */
  async flush(): Promise<void> {
    this.#start();
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** Refuses new items, then flushes. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.length === 0) return;
    const batch = this.#pending;
    this.#pending = [];
    const running = this.#run(batch).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #run(batch: readonly Waiter<In, Out>[]): Promise<void> {
    try {
      const results = await this.#options.run(batch.map((waiter) => waiter.item));
      batch.forEach((waiter, index) => {
        if (index >= results.length) waiter.reject(new Error('the batch gave no result for this item'));
        else settle(waiter, results[index] as Out | Error);
      });
    } catch (error) {
      for (const waiter of batch) waiter.reject(error);
    }
  }
}

function settle<In, Out>(waiter: Waiter<In, Out>, result: Out | Error): void {
  if (result instanceof Error) waiter.reject(result);
  else waiter.resolve(result);
}
