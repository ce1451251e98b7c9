import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  decideSweep,
  drainedMessages,
  shortStuckSeconds,
} from '../../../services/reconciler/sweep-decision.ts';

const day = 86_400;
const drained = {
  messages: 0,
  retentionSeconds: 4 * day,
  deadLetterRetentionSeconds: 14 * day,
  lateOutboxRows: 0,
  scanComplete: true,
};

describe('sweep', () => {
  test('a drained queue means that old gifts have no message', () => {
    expect(decideSweep(drained)).toMatchObject({
      stuckSeconds: shortStuckSeconds,
      deadLetterRetentionSeconds: 14 * day,
    });
  });

  test.each([
    ['messages wait', { messages: drainedMessages + 1 }],
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
        (messages, retentionSeconds) => {
          const { stuckSeconds } = decideSweep({ ...drained, messages, retentionSeconds });
          expect(stuckSeconds).toBeGreaterThanOrEqual(shortStuckSeconds);
          if (messages > drainedMessages) expect(stuckSeconds).toBeGreaterThan(retentionSeconds ?? 14 * day);
        },
      ),
    );
  });
});
