import { AsyncLocalStorage } from 'node:async_hooks';

export type TogetherOptions<In, Out> = {
  /** One result per item, in order; an Error fails that item alone. A rejection fails every item. */
  run: (items: readonly In[]) => Promise<readonly (Out | Error)[]>;
  /** runs under way at once */
  lanes: number;
  maxSize: number;
};

type Waiter<In, Out> = {
  item: In;
  signal: AbortSignal | undefined;
  resolve: (result: Out) => void;
  reject: (error: unknown) => void;
};

/**
 * Makes one call of what comes in while earlier calls are under way. Alone, an item goes at once and waits for nobody;
 * under load the batches grow by themselves until the calls keep up.
 */
export class Together<In, Out> {
  readonly #options: TogetherOptions<In, Out>;
  readonly #outside = AsyncLocalStorage.snapshot();
  readonly #waiting = new Set<Waiter<In, Out>>();
  #running = 0;

  constructor(options: TogetherOptions<In, Out>) {
    this.#options = options;
  }

  /** Items that no run has taken yet. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * @param signal of whoever waits for the result: an item that nobody waits for any more is taken by no run
   * @throws the signal's reason at once, also while a run has the item: what became of it is unknown then
   */
  add(item: In, signal?: AbortSignal): Promise<Out> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const waiter: Waiter<In, Out> = { item, signal, resolve, reject };
      if (signal) this.#giveUpWith(signal, waiter);
      this.#waiting.add(waiter);
      if (this.#running < this.#options.lanes) void this.#outside(() => this.#lane());
    });
  }

  #giveUpWith(signal: AbortSignal, waiter: Waiter<In, Out>): void {
    const { resolve, reject } = waiter;
    const giveUp = () => {
      this.#waiting.delete(waiter);
      reject(signal.reason);
    };
    signal.addEventListener('abort', giveUp, { once: true });
    const settled = () => signal.removeEventListener('abort', giveUp);
    waiter.resolve = (result) => {
      settled();
      resolve(result);
    };
    waiter.reject = (error) => {
      settled();
      reject(error);
    };
  }

  async #lane(): Promise<void> {
    this.#running += 1;
    // What came in with the same read of the sockets goes along.
    await new Promise(setImmediate);
    while (this.#waiting.size > 0) await this.#run(this.#take());
    this.#running -= 1;
  }

  #take(): Waiter<In, Out>[] {
    const batch = [...this.#waiting.values().take(this.#options.maxSize)];
    for (const waiter of batch) this.#waiting.delete(waiter);
    return batch;
  }

  async #run(batch: readonly Waiter<In, Out>[]): Promise<void> {
    try {
      const results = await this.#options.run(batch.map(({ item }) => item));
      for (const [index, { resolve, reject }] of batch.entries()) {
        const result = index < results.length ? results[index] : new Error('no result came for this item');
        if (result instanceof Error) reject(result);
        else resolve(result as Out);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
