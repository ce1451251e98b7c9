import { expect, test } from '@jest/globals';
import { togetherOrAlone } from '../../../services/consumer/together-or-alone.ts';

test('P12: what is refused together is tried alone, and only the culprit fails', async () => {
  const calls: number[][] = [];
  const results = await togetherOrAlone([1, 2, 3], async (items) => {
    calls.push(items);
    if (items.includes(2)) throw new Error('row 2 is broken');
    return items.map((item) => item * 10);
  });
  expect(results).toEqual([10, new Error('row 2 is broken'), 30]);
  expect(calls).toEqual([[1, 2, 3], [1], [2], [3]]);
});

test('one statement is enough when nothing is refused', async () => {
  let calls = 0;
  const results = await togetherOrAlone([1, 2], async (items) => {
    calls += 1;
    return items;
  });
  expect([results, calls]).toEqual([[1, 2], 1]);
});

test('a lost connection is nobody’s fault: all fail together and nothing is repeated', async () => {
  let calls = 0;
  const lost = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  const run = togetherOrAlone([1, 2], async () => {
    calls += 1;
    throw lost;
  });
  await expect(run).rejects.toBe(lost);
  expect(calls).toBe(1);
});

test('a connection that is lost while each is tried alone fails those that come after, not those before', async () => {
  const lost = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  const results = await togetherOrAlone([1, 2, 3], async (items) => {
    if (items.length > 1) throw new Error('refused together');
    if (items[0] === 3) throw lost;
    return items;
  });
  expect(results).toEqual([1, 2, lost]);
});
