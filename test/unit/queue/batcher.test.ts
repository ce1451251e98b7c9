import { describe, expect, jest, test } from '@jest/globals';
import { Batcher } from '../../../services/queue/batcher.ts';

type Run = (items: readonly number[]) => Promise<readonly (string | Error)[]>;

function recording(run: Run = async (items) => items.map((item) => `r${item}`)) {
  const batches: number[][] = [];
  const batcher = new Batcher<number, string>({
    maxSize: 3,
    maxDelayMs: 10_000,
    run: (items) => {
      batches.push([...items]);
      return run(items);
    },
  });
  return { batcher, batches };
}

describe('Batcher', () => {
  test('a full batch runs at once, and each caller gets its own result', async () => {
    const { batcher, batches } = recording();
    const results = await Promise.all([1, 2, 3, 4, 5, 6].map((item) => batcher.add(item)));
    expect(results).toEqual(['r1', 'r2', 'r3', 'r4', 'r5', 'r6']);
    expect(batches).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
  });

  test('a batch that does not fill runs after the delay of its first item', async () => {
    jest.useFakeTimers();
    try {
      const { batcher, batches } = recording();
      const first = batcher.add(1);
      await jest.advanceTimersByTimeAsync(9_000);
      const second = batcher.add(2);
      expect(batches).toEqual([]);
      await jest.advanceTimersByTimeAsync(1_000);
      expect(await Promise.all([first, second])).toEqual(['r1', 'r2']);
      expect(batches).toEqual([[1, 2]]);
    } finally {
      jest.useRealTimers();
    }
  });

  test('P9: a run that rejects as a whole settles every waiting promise, and the next batch runs', async () => {
    let calls = 0;
    const { batcher } = recording(async (items) => {
      calls += 1;
      if (calls === 1) throw new Error('connection lost');
      return items.map(String);
    });
    const settled = await Promise.allSettled([1, 2, 3].map((item) => batcher.add(item)));
    expect(settled.map((result) => result.status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(await Promise.all([4, 5, 6].map((item) => batcher.add(item)))).toEqual(['4', '5', '6']);
  });

  test('P9: a run that throws before it returns a promise settles every waiting promise', async () => {
    const { batcher } = recording(() => {
      throw new Error('thrown at once');
    });
    const settled = await Promise.allSettled([1, 2, 3].map((item) => batcher.add(item)));
    expect(settled.map((result) => result.status)).toEqual(['rejected', 'rejected', 'rejected']);
  });

  test('P8: an Error among the results fails its item alone', async () => {
    const { batcher } = recording(async () => ['ok', new Error('failed'), 'ok']);
    const settled = await Promise.allSettled([1, 2, 3].map((item) => batcher.add(item)));
    expect(settled.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  test('P9: items for which the run gave no result are rejected, not forgotten', async () => {
    const { batcher } = recording(async () => ['ok']);
    const settled = await Promise.allSettled([1, 2, 3].map((item) => batcher.add(item)));
    expect(settled.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'rejected']);
  });

  test('flush runs what waits and resolves after everything that runs, never rejecting', async () => {
    const gate = Promise.withResolvers<void>();
    const { batcher, batches } = recording(async (items) => {
      await gate.promise;
      throw new Error(`no luck with ${items.length}`);
    });
    const failed = Promise.allSettled([1, 2, 3, 4].map((item) => batcher.add(item)));
    let flushed = false;
    const flushing = batcher.flush().then(() => {
      flushed = true;
    });
    expect(batches).toEqual([[1, 2, 3], [4]]);
    await Promise.resolve();
    expect(flushed).toBe(false);
    gate.resolve();
    await flushing;
    expect((await failed).every((result) => result.status === 'rejected')).toBe(true);
  });

  test('close finishes what waits and refuses what comes later', async () => {
    const { batcher } = recording();
    const last = batcher.add(1);
    await batcher.close();
    expect(await last).toBe('r1');
    await expect(batcher.add(2)).rejects.toThrow('closed');
  });

  test('senseless sizes and delays are refused', () => {
    const run: Run = async () => [];
    expect(() => new Batcher<number, string>({ run, maxSize: 0, maxDelayMs: 1 })).toThrow('maxSize');
    expect(() => new Batcher<number, string>({ run, maxSize: 1, maxDelayMs: -1 })).toThrow('maxDelayMs');
  });
});
