import { expect, jest, test } from '@jest/globals';
import { steadyClock, systemClock, systemRandom } from '../../../services/runtime/clock.ts';

test('the system clock tells the time of the system', () => {
  const before = Date.now();
  const told = systemClock().getTime();
  expect(told).toBeGreaterThanOrEqual(before);
  expect(told).toBeLessThanOrEqual(Date.now());
});

test('the steady clock goes on as it began when the clock of the system is set', () => {
  const before = steadyClock().getTime();
  jest.useFakeTimers({ now: 0, doNotFake: ['performance'] });
  try {
    expect(Math.abs(steadyClock().getTime() - before)).toBeLessThan(60_000);
  } finally {
    jest.useRealTimers();
  }
});

test('the system random stays in [0, 1)', () => {
  for (const value of Array.from({ length: 100 }, systemRandom)) {
    expect(value).toBeGreaterThanOrEqual(0);
    expect(value).toBeLessThan(1);
  }
});
