import { expect, test } from '@jest/globals';
import pg from 'pg';
import { togetherOrAlone } from '../../../services/consumer/together-or-alone.ts';

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const stateError = (code: string) => Object.assign(new pg.DatabaseError(code, 0, 'error'), { code });

test('P12: a broken row fails itself alone, for the price of a few statements and not of one per neighbour', async () => {
  const calls: number[][] = [];
  const results = await togetherOrAlone(numbers(40), async (items) => {
    calls.push(items);
    if (items.includes(17)) throw new Error('row 17 is broken');
    return items.map((item) => item * 10);
  });
  expect(results).toEqual(numbers(40).map((n) => (n === 17 ? new Error('row 17 is broken') : n * 10)));
  expect(calls.length).toBeLessThanOrEqual(13);
});

test('every broken row fails itself, whatever their number', async () => {
  const results = await togetherOrAlone(numbers(9), async (items) => {
    if (items.some((item) => item % 2 === 0)) throw new Error('even');
    return items;
  });
  expect(results).toEqual(numbers(9).map((n) => (n % 2 === 0 ? new Error('even') : n)));
});

test('a row that the server stumbles over without a word for it (XX000) stands alone like any broken one', async () => {
  const stumbled = stateError('XX000');
  const results = await togetherOrAlone(numbers(9), async (items) => {
    if (items.includes(4)) throw stumbled;
    return items;
  });
  expect(results).toEqual(numbers(9).map((n) => (n === 4 ? stumbled : n)));
});

test('one statement is enough when nothing is refused', async () => {
  let calls = 0;
  const results = await togetherOrAlone([1, 2], async (items) => {
    calls += 1;
    return items;
  });
  expect([results, calls]).toEqual([[1, 2], 1]);
});

test('who waits for a lock waits alone', async () => {
  const locked = stateError('55P03');
  const results = await togetherOrAlone([1, 2, 3, 4], async (items) => {
    if (items.includes(3)) throw locked;
    return items;
  });
  expect(results).toEqual([1, 2, locked, 4]);
});

test.each([
  Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
  stateError('25006'),
  stateError('57P01'),
  stateError('53100'),
  stateError('42P01'),
])(
  'a database that is away is nobody’s fault: all fail together and nothing is repeated (%s)',
  async (away) => {
    let calls = 0;
    const run = togetherOrAlone([1, 2], async () => {
      calls += 1;
      throw away;
    });
    await expect(run).rejects.toBe(away);
    expect(calls).toBe(1);
  },
);

test('a connection that falls silent in between is waited for once, and not once for each that is left', async () => {
  const silent = Object.assign(new Error('read ETIMEDOUT'), { code: 'ETIMEDOUT' });
  let calls = 0;
  const results = await togetherOrAlone(numbers(12), async (items) => {
    calls += 1;
    if (items.length > 3) throw new Error('refused together');
    if (items.includes(4)) throw silent;
    return items;
  });
  expect(results).toEqual(numbers(12).map((n) => (n < 4 ? n : silent)));
  expect(calls).toBe(4);
});
