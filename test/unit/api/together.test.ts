import { expect, test } from '@jest/globals';
import { Together } from '../../../services/api/together.ts';

/** A run that ends when it is told to. */
function held(lanes: number, maxSize = 100) {
  const runs: {
    items: number[];
    end: (results?: (number | Error)[]) => void;
    fail: (error: Error) => void;
  }[] = [];
  const together = new Together<number, number>({
    lanes,
    maxSize,
    run: (items) =>
      new Promise((resolve, reject) => {
        const end = (results = items.map((item) => item * 10) as (number | Error)[]) => resolve(results);
        runs.push({ items: [...items], end, fail: reject });
      }),
  });
  return { together, runs };
}

const turn = () => new Promise(setImmediate);

test('alone an item goes at once; what comes in meanwhile goes together afterwards', async () => {
  const { together, runs } = held(1);
  const first = together.add(1);
  await turn();
  const others = [2, 3, 4].map((item) => together.add(item));
  await turn();
  expect(runs.map(({ items }) => items)).toEqual([[1]]);
  runs[0]?.end();
  expect(await first).toBe(10);
  await turn();
  expect(runs.map(({ items }) => items)).toEqual([[1], [2, 3, 4]]);
  runs[1]?.end();
  expect(await Promise.all(others)).toEqual([20, 30, 40]);
  const later = together.add(5);
  await turn();
  runs[2]?.end();
  expect(await later).toBe(50);
});

test('no more runs than lanes, no more items than maxSize', async () => {
  const { together, runs } = held(2, 2);
  const results = [1, 2, 3, 4, 5].map((item) => together.add(item));
  await turn();
  await turn();
  expect(runs.map(({ items }) => items)).toEqual([
    [1, 2],
    [3, 4],
  ]);
  runs[1]?.end();
  await turn();
  expect(runs[2]?.items).toEqual([5]);
  runs[0]?.end();
  runs[2]?.end();
  expect(await Promise.all(results)).toEqual([10, 20, 30, 40, 50]);
});

test('an error of one item is its own; a run that fails, or forgets one, settles everybody', async () => {
  const { together, runs } = held(1);
  const settle = async (end: (run: (typeof runs)[number] | undefined) => void) => {
    const results = Promise.allSettled([together.add(1), together.add(2)]);
    await turn();
    end(runs.pop());
    return (await results).map((result) =>
      result.status === 'fulfilled' ? result.value : result.reason.message,
    );
  };
  expect(await settle((run) => run?.end([7, new Error('refused')]))).toEqual([7, 'refused']);
  expect(await settle((run) => run?.fail(new Error('away')))).toEqual(['away', 'away']);
  expect(await settle((run) => run?.end([7]))).toEqual([7, 'no result came for this item']);
});
