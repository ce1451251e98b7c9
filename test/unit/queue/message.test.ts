import { expect, test } from '@jest/globals';
import { toQueueMessage } from '../../../services/queue/message.ts';

const nowMs = Date.UTC(2027, 0, 31);

test.each(['', 'x', '2027-01-31T00:00:00Z', '-1', '1.5', '1e3', 'NaN', '9'.repeat(15), '9'.repeat(400)])(
  'times and counts that a server writes its own way make no message illegal: %s',
  (text) => {
    const { sentAt, firstReceivedAt, receiveCount } = toQueueMessage(
      {
        Attributes: {
          SentTimestamp: text,
          ApproximateFirstReceiveTimestamp: text,
          ApproximateReceiveCount: text,
        },
      },
      nowMs,
    );
    expect([sentAt.getTime(), firstReceivedAt.getTime(), receiveCount]).toEqual([nowMs, nowMs, 1]);
  },
);

test('those of SQS are taken as they are', () => {
  const { sentAt, receiveCount } = toQueueMessage(
    { Attributes: { SentTimestamp: '1769817600000', ApproximateReceiveCount: '7' } },
    nowMs,
  );
  expect([sentAt.getTime(), receiveCount]).toEqual([1_769_817_600_000, 7]);
});
