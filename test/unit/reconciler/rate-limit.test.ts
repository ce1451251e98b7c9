import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createRateLimit } from '../../../services/reconciler/rate-limit.ts';

/** Takes batches for a minute, each followed by work that lasts a while, on a clock of its own. */
function simulate(ratePerSecond: number, workMs: readonly number[]): { atMs: number; count: number }[] {
  let nowMs = 1_000;
  const limit = createRateLimit(ratePerSecond, () => nowMs);
  const taken: { atMs: number; count: number }[] = [];
  for (let turn = 0; nowMs < 61_000; turn += 1) {
    nowMs += limit.take(limit.burst);
    taken.push({ atMs: nowMs, count: limit.burst });
    nowMs += workMs[turn % workMs.length] ?? 0;
  }
  return taken;
}

function within(taken: { atMs: number; count: number }[], fromMs: number): number {
  return taken
    .filter(({ atMs }) => atMs >= fromMs && atMs < fromMs + 10_000)
    .reduce((sum, { count }) => sum + count, 0);
}

describe('rate limit', () => {
  const rate = fc.integer({ min: 1, max: 5_000 });

  test('P42: over any 10 s no more than 110 % of the rate is taken, whatever the work between lasts', () => {
    fc.assert(
      fc.property(rate, fc.array(fc.nat(3_000), { minLength: 1, maxLength: 20 }), (ratePerSecond, workMs) => {
        const taken = simulate(ratePerSecond, workMs);
        for (const { atMs } of taken) {
          expect(within(taken, atMs)).toBeLessThanOrEqual(ratePerSecond * 10 * 1.1);
        }
      }),
    );
  });

  test('P42: and while the work keeps up, no less than 90 %', () => {
    fc.assert(
      fc.property(rate, fc.array(fc.nat(200), { minLength: 1, maxLength: 20 }), (ratePerSecond, workMs) => {
        const taken = simulate(ratePerSecond, workMs);
        for (const { atMs } of taken.filter((entry) => entry.atMs < 50_000)) {
          expect(within(taken, atMs)).toBeGreaterThanOrEqual(ratePerSecond * 10 * 0.9);
        }
      }),
    );
  });

  test('more than a burst at once is refused', () => {
    expect(() => createRateLimit(10, () => 0).take(6)).toThrow(RangeError);
  });
});
