import { AsyncLocalStorage } from 'node:async_hooks';

export type TogetherOptions<In, Out> = {
  /** One result per item, in order; an Error fails that item alone. A rejection fails every item. */
  run: (items: readonly In[]) => Promise<readonly (Out | Error)[]>;
  /** runs under way at once */
  lanes: number;
  maxSize: number;
};

type Waiter<In, Out> = { item: In; resolve: (result: Out) => void; reject: (error: unknown) => void };

/**
 * Makes one call of what comes in while earlier calls are under way. Alone, an item goes at once and waits for nobody;
 * under load the batches grow by themselves until the calls keep up.
 */
export class Together<In, Out> {
  readonly #options: TogetherOptions<In, Out>;
  readonly #outside = AsyncLocalStorage.snapshot();
  #waiting: Waiter<In, Out>[] = [];
  #running = 0;

  constructor(options: TogetherOptions<In, Out>) {
    this.#options = options;
  }

  add(item: In): Promise<Out> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (this.#running < this.#options.lanes) void this.#outside(() => this.#lane());
    });
  }

  async #lane(): Promise<void> {
    this.#running += 1;
    // What came in with the same read of the sockets goes along.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) await this.#run(this.#waiting.splice(0, this.#options.maxSize));
    this.#running -= 1;
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
