import { expect, test } from '@jest/globals';
import { SweepStart } from '../../../services/api/sweep-start.ts';

function sweeps() {
  const clock = { ms: 0 };
  return { clock, start: new SweepStart({ wholeEveryMs: 30_000, nowMs: () => clock.ms }) };
}

test('a look goes on where the last one ended, and one begins with the oldest row every thirty seconds', () => {
  const { clock, start } = sweeps();
  const froms = [1, 2, 3, 4].map((second) => {
    clock.ms = second * 12_000;
    const { fromMs, ended } = start.next();
    ended(second * 100);
    return fromMs;
  });
  expect(froms).toEqual([null, 100, 200, null]);
});

test('P21: a look from the oldest row that the server ends does not stop those that go on where the last one ended', () => {
  const { clock, start } = sweeps();
  start.next().ended(50);
  start.next().ended(100);
  clock.ms = 30_000;
  expect(start.next().fromMs).toBeNull();
  // It failed: nobody says how far it came.
  const next = start.next();
  expect(next.fromMs).toBe(100);
  next.ended(200);
  const froms = [60_000, 120_000, 180_000, 240_000].map((ms) => {
    clock.ms = ms;
    return start.next().fromMs;
  });
  expect(froms).toEqual([null, 200, null, 200]);
});

test('what one lane found at the beginning is not passed over by another that began before', () => {
  const { clock, start } = sweeps();
  start.next().ended(9_000);
  const early = start.next();
  clock.ms = 30_000;
  const whole = start.next();
  const meanwhile = start.next();
  expect([early.fromMs, whole.fromMs, meanwhile.fromMs]).toEqual([9_000, null, 9_000]);
  whole.ended(50);
  early.ended(9_500);
  meanwhile.ended(9_600);
  expect(start.next().fromMs).toBe(50);
});

test('a clock of the database that was set back moves the beginning back with the next look at the oldest row', () => {
  const { clock, start } = sweeps();
  start.next().ended(1_000_000);
  start.next().ended(400_000);
  expect(start.next().fromMs).toBe(1_000_000);
  clock.ms = 30_000;
  start.next().ended(430_000);
  expect(start.next().fromMs).toBe(430_000);
});

test('until the first look has ended, each begins with the oldest row', () => {
  const { start } = sweeps();
  expect([start.next().fromMs, start.next().fromMs]).toEqual([null, null]);
});
