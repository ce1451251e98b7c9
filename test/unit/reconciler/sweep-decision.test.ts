import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  decideSweep,
  drainedMessages,
  shortStuckSeconds,
} from '../../../services/reconciler/sweep-decision.ts';

const day = 86_400;
const drained = {
  waiting: 0,
  shortStuckSeconds: 1_200,
  retentionSeconds: 4 * day,
  deadLetterRetentionSeconds: 14 * day,
  scanComplete: true,
};

describe('sweep', () => {
  test('a drained queue means that old gifts have no message', () => {
    expect(decideSweep(drained)).toMatchObject({
      drained: true,
      stuckSeconds: 1_200,
      deadLetterRetentionSeconds: 14 * day,
    });
  });

  test.each<[string, { waiting?: number; scanComplete?: boolean }]>([
    ['messages wait', { waiting: drainedMessages + 1 }],
    ['the dead letters were not all seen', { scanComplete: false }],
  ])('when %s, age alone tells nothing, but for what is older than any message', (_what, facts) => {
    expect(decideSweep({ ...drained, ...facts })).toMatchObject({
      drained: false,
      deadLettersSeen: facts.scanComplete ?? true,
      stuckSeconds: 1_200,
      lostSeconds: 4 * day + 3_600,
    });
  });

  test('a backlog never shortens the age, and an unknown retention is the longest that SQS has', () => {
    fc.assert(
      fc.property(
        fc.nat(1_000_000),
        fc.option(fc.integer({ min: 60, max: 14 * day })),
        (waiting, retentionSeconds) => {
          const decided = decideSweep({ ...drained, waiting, retentionSeconds });
          expect(decided.stuckSeconds).toBeGreaterThanOrEqual(1_200);
          expect(decided.lostSeconds).toBeGreaterThan(retentionSeconds ?? 14 * day);
          expect(decided.drained).toBe(waiting <= drainedMessages);
        },
      ),
    );
  });

  test('the short age is 20 minutes, and longer than any pause and lease that the consumer may be set to', () => {
    expect(shortStuckSeconds({ retryCapMs: 900_000, leaseSeconds: 60 })).toBe(20 * 60);
    expect(shortStuckSeconds({ retryCapMs: 500, leaseSeconds: 5 })).toBe(20 * 60);
    expect(shortStuckSeconds({ retryCapMs: 39_600_000, leaseSeconds: 600 })).toBeGreaterThan(39_600 + 600);
    expect(decideSweep({ ...drained, shortStuckSeconds: 40_440 }).stuckSeconds).toBe(40_440);
  });
});
