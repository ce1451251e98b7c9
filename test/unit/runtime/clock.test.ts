import { expect, test } from '@jest/globals';
import { systemClock, systemRandom } from '../../../services/runtime/clock.ts';

test('the system clock tells the time of the system', () => {
  const before = Date.now();
  const told = systemClock().getTime();
  expect(told).toBeGreaterThanOrEqual(before);
  expect(told).toBeLessThanOrEqual(Date.now());
});

test('the system random stays in [0, 1)', () => {
  for (const value of Array.from({ length: 100 }, systemRandom)) {
    expect(value).toBeGreaterThanOrEqual(0);
    expect(value).toBeLessThan(1);
  }
});
