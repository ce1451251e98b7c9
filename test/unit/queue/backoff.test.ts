import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fullJitterMs, loopPauseMs } from '../../../services/queue/backoff.ts';

const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const attempts = fc.integer({ min: 1, max: 1_000_000 });

describe('fullJitterMs', () => {
  test('is a whole number from 0 to below min(cap, base * 2^attempt), however many attempts', () => {
    fc.assert(
      fc.property(
        attempts,
        unit,
        fc.integer({ min: 1, max: 60_000 }),
        fc.integer({ min: 1, max: 3_600_000 }),
        (attempt, random, baseMs, capMs) => {
          const waitMs = fullJitterMs({ attempt, baseMs, capMs, random: () => random });
          expect(Number.isInteger(waitMs)).toBe(true);
          expect(waitMs).toBeGreaterThanOrEqual(0);
          expect(waitMs).toBeLessThanOrEqual(Math.min(capMs, baseMs * 2 ** Math.min(attempt, 60)));
        },
      ),
    );
  });

  test('grows with the attempt for the same draw', () => {
    fc.assert(
      fc.property(attempts, unit, (attempt, draw) => {
        const random = () => draw;
        expect(fullJitterMs({ attempt: attempt + 1, random })).toBeGreaterThanOrEqual(
          fullJitterMs({ attempt, random }),
        );
      }),
    );
  });

  test('never comes before the time that the other side asked for, even above the cap', () => {
    fc.assert(
      fc.property(attempts, unit, fc.integer({ min: 0, max: 10_000_000 }), (attempt, draw, retryAfterMs) => {
        expect(fullJitterMs({ attempt, random: () => draw, retryAfterMs })).toBeGreaterThanOrEqual(
          retryAfterMs,
        );
      }),
    );
  });

  test('has the bounds of its table: 4 s, 8 s … 15 min', () => {
    const almostOne = () => 1 - Number.EPSILON;
    const bounds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(
      (attempt) => fullJitterMs({ attempt, random: almostOne }) + 1,
    );
    expect(bounds).toEqual([4, 8, 16, 32, 64, 128, 256, 512, 900, 900].map((seconds) => seconds * 1_000));
  });
});

describe('loopPauseMs', () => {
  test('P4: from the second failure on a pause is at least one second, at most 30', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 1_000_000 }), unit, (failures, draw) => {
        const pauseMs = loopPauseMs(failures, () => draw);
        expect(pauseMs).toBeGreaterThanOrEqual(1_000);
        expect(pauseMs).toBeLessThanOrEqual(30_000);
      }),
    );
  });

  test('P4: pauses are spread over half their ceiling, so that a fleet does not come back in step', () => {
    expect(loopPauseMs(6, () => 0)).toBe(15_000);
    expect(loopPauseMs(6, () => 0.999)).toBeGreaterThan(29_900);
  });

  test('a first failure is tried again within a quarter of a second', () => {
    expect(loopPauseMs(1, () => 0.999)).toBeLessThanOrEqual(250);
  });
});
