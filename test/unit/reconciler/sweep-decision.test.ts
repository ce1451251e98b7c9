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
  lateOutboxRows: 0,
  scanComplete: true,
};

describe('sweep', () => {
  test('a drained queue means that old gifts have no message', () => {
    expect(decideSweep(drained)).toMatchObject({
      stuckSeconds: 1_200,
      deadLetterRetentionSeconds: 14 * day,
    });
  });

  test.each([
    ['messages wait', { waiting: drainedMessages + 1 }],
    ['a relay is behind', { lateOutboxRows: 1 }],
    ['the dead letters were not all seen', { scanComplete: false }],
  ])('when %s, only what is older than any message counts', (_what, facts) => {
    expect(decideSweep({ ...drained, ...facts }).stuckSeconds).toBe(4 * day + 3_600);
  });

  test('a backlog never shortens the age, and an unknown retention is the longest that SQS has', () => {
    fc.assert(
      fc.property(
        fc.nat(1_000_000),
        fc.option(fc.integer({ min: 60, max: 14 * day })),
        (waiting, retentionSeconds) => {
          const { stuckSeconds } = decideSweep({ ...drained, waiting, retentionSeconds });
          expect(stuckSeconds).toBeGreaterThanOrEqual(1_200);
          if (waiting > drainedMessages) expect(stuckSeconds).toBeGreaterThan(retentionSeconds ?? 14 * day);
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
