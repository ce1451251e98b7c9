import { describe, expect, test } from '@jest/globals';
import {
  attributesToSet,
  type FoundQueue,
  inspectQueue,
  maxReceiveCountFor,
  type QueueSettings,
  queueLimitations,
} from '../../../services/queue/queue-settings.ts';

const wanted: QueueSettings = {
  name: 'gifts',
  deadLetterName: 'gifts-dlq',
  visibilityTimeoutSeconds: 60,
  maxReceiveCount: 20,
};
const base = 'https://sqs.eu-central-1.amazonaws.com';

function setUp(
  change: { source?: Record<string, string>; deadLetter?: Record<string, string>; url?: string } = {},
) {
  const deadLetter: FoundQueue = {
    name: 'gifts-dlq',
    url: `${base}/123456789012/gifts-dlq`,
    attributes: { QueueArn: 'arn:dlq', MessageRetentionPeriod: '1209600', ...change.deadLetter },
  };
  const source: FoundQueue = {
    name: 'gifts',
    url: change.url ?? `${base}/123456789012/gifts`,
    attributes: {
      QueueArn: 'arn:gifts',
      VisibilityTimeout: '60',
      RedrivePolicy: JSON.stringify({ deadLetterTargetArn: 'arn:dlq', maxReceiveCount: 20 }),
      ...change.source,
    },
  };
  return { deadLetter, source };
}

const problemsOf = (change: Parameters<typeof setUp>[0]) => {
  const { deadLetter, source } = setUp(change);
  return inspectQueue(wanted, deadLetter, source).map((problem) => problem.attribute);
};

describe('queue settings', () => {
  test('right queues have no problems and nothing to set', () => {
    const { deadLetter, source } = setUp();
    expect(inspectQueue(wanted, deadLetter, source)).toEqual([]);
    expect(attributesToSet(wanted, deadLetter, source)).toEqual({ deadLetter: {}, source: {} });
  });

  test.each([
    ['VisibilityTimeout', { source: { VisibilityTimeout: '30' } }],
    ['MessageRetentionPeriod', { deadLetter: { MessageRetentionPeriod: '345600' } }],
    [
      'RedrivePolicy.deadLetterTargetArn',
      { source: { RedrivePolicy: '{"deadLetterTargetArn":"arn:other","maxReceiveCount":99}' } },
    ],
    [
      'RedrivePolicy.maxReceiveCount',
      { source: { RedrivePolicy: '{"deadLetterTargetArn":"arn:dlq","maxReceiveCount":"5"}' } },
    ],
  ])('a wrong %s is found alone, with a fix', (attribute, change) => {
    expect(problemsOf(change)).toEqual([attribute]);
  });

  test('a missing or unreadable redrive policy is two problems', () => {
    expect(problemsOf({ source: { RedrivePolicy: 'nonsense' } })).toHaveLength(2);
  });

  test('the optional is not required: what a server does not tell is said and set, and stops nobody', () => {
    const { deadLetter, source } = setUp();
    delete deadLetter.attributes['MessageRetentionPeriod'];
    delete source.attributes['VisibilityTimeout'];
    expect(inspectQueue(wanted, deadLetter, source)).toEqual([]);
    expect(queueLimitations(wanted, deadLetter, source)).toEqual([
      'gifts does not tell its VisibilityTimeout: see yourself that it is 60',
      'gifts-dlq does not tell its MessageRetentionPeriod: see yourself that it is 1209600',
    ]);
    expect(attributesToSet(wanted, deadLetter, source)).toEqual({
      deadLetter: { MessageRetentionPeriod: '1209600' },
      source: { VisibilityTimeout: '60' },
    });
  });

  test('more receives than we ask for are fine', () => {
    const policy = JSON.stringify({ deadLetterTargetArn: 'arn:dlq', maxReceiveCount: 1_000 });
    expect(problemsOf({ source: { RedrivePolicy: policy } })).toEqual([]);
  });

  test.each([
    '/gifts',
    '/queue/gifts',
    '/123456789012/other',
    '/v1/123456789012/gifts',
    '/123456789012/gifts/',
  ])('P33: a queue URL with the path %s is refused', (path) => {
    expect(problemsOf({ url: `http://sqs.local:9324${path}` })).toEqual(['URL path']);
  });

  test('P7: the receive limit has room for many releases above the retry limit', () => {
    expect(maxReceiveCountFor(5)).toBe(20);
    expect(maxReceiveCountFor(10_000)).toBe(1_000);
  });
});
