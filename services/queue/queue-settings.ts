export interface QueueSettings {
  readonly name: string;
  readonly deadLetterName: string;
  readonly visibilityTimeoutSeconds: number;
  /** Receives before SQS itself dead-letters; see `maxReceiveCountFor`. */
  readonly maxReceiveCount: number;
}

/** A queue as SQS describes it. */
export interface FoundQueue {
  readonly name: string;
  readonly url: string;
  readonly attributes: Record<string, string>;
}

export interface QueueProblem {
  readonly queue: string;
  readonly attribute: string;
  readonly expected: string;
  readonly actual: string;
  readonly fix: string;
}

/** The longest that SQS keeps a message. A dead letter's age counts from when it was first sent, so no less will do. */
export const deadLetterRetentionSeconds = 1_209_600;

/**
 * Receives that SQS may count before it dead-letters by itself. Every release at a shutdown or scale-in costs a receive but no
 * attempt, so there must be room for many of them above the retry limit. 5 retries -> 20 receives.
 */
export function maxReceiveCountFor(maxRetryCount: number): number {
  return Math.min(1_000, maxRetryCount * 2 + 10);
}

/** What a server does not tell of its queues can be neither right nor wrong: the roles go on without it, and say so. */
const optionalAttributes: ReadonlySet<string> = new Set(['MessageRetentionPeriod', 'VisibilityTimeout']);

type Check = (wanted: QueueSettings, deadLetter: FoundQueue, source: FoundQueue) => QueueProblem | null;

/** Ordered: the first lines name what makes the others wrong. */
const checks: readonly Check[] = [
  (_wanted, _deadLetter, source) => checkUrl(source),
  (_wanted, deadLetter) => checkUrl(deadLetter),
  (wanted, _deadLetter, source) => {
    const expected = String(wanted.visibilityTimeoutSeconds);
    return checkEqual(source, 'VisibilityTimeout', expected);
  },
  (_wanted, deadLetter) =>
    checkEqual(deadLetter, 'MessageRetentionPeriod', String(deadLetterRetentionSeconds)),
  (_wanted, deadLetter, source) => {
    const actual = redrivePolicy(source).deadLetterTargetArn ?? notSet;
    const expected = deadLetter.attributes['QueueArn'] ?? '';
    if (actual === expected) return null;
    return problem(source, 'RedrivePolicy.deadLetterTargetArn', expected, actual);
  },
  (wanted, _deadLetter, source) => {
    const actual = Number(redrivePolicy(source).maxReceiveCount ?? 0);
    // More headroom than we ask for harms nobody; less would dead-letter healthy messages after a few rollouts.
    if (actual >= wanted.maxReceiveCount) return null;
    return problem(
      source,
      'RedrivePolicy.maxReceiveCount',
      `at least ${wanted.maxReceiveCount}`,
      String(actual),
    );
  },
];

export function inspectQueue(
  wanted: QueueSettings,
  deadLetter: FoundQueue,
  source: FoundQueue,
): QueueProblem[] {
  return differences(wanted, deadLetter, source).filter((found) => !isUntold(found));
}

/** What is not known of the queues, in words. */
export function queueLimitations(
  wanted: QueueSettings,
  deadLetter: FoundQueue,
  source: FoundQueue,
): string[] {
  return differences(wanted, deadLetter, source)
    .filter(isUntold)
    .map(
      ({ queue, attribute, expected }) =>
        `${queue} does not tell its ${attribute}: see yourself that it is ${expected}`,
    );
}

function differences(wanted: QueueSettings, deadLetter: FoundQueue, source: FoundQueue): QueueProblem[] {
  return checks.map((check) => check(wanted, deadLetter, source)).filter((found) => found !== null);
}

function isUntold({ attribute, actual }: QueueProblem): boolean {
  return actual === notSet && optionalAttributes.has(attribute);
}

const notSet = 'not set';

/** Only what differs: a start that finds everything right writes nothing. */
export function attributesToSet(wanted: QueueSettings, deadLetter: FoundQueue, source: FoundQueue) {
  const wrong = new Set(differences(wanted, deadLetter, source).map((p) => `${p.queue} ${p.attribute}`));
  const redriveIsWrong = [...wrong].some((key) => key.startsWith(`${source.name} RedrivePolicy.`));
  return {
    deadLetter: wrong.has(`${deadLetter.name} MessageRetentionPeriod`)
      ? { MessageRetentionPeriod: String(deadLetterRetentionSeconds) }
      : {},
    source: {
      ...(wrong.has(`${source.name} VisibilityTimeout`)
        ? { VisibilityTimeout: String(wanted.visibilityTimeoutSeconds) }
        : {}),
      ...(redriveIsWrong
        ? {
            RedrivePolicy: JSON.stringify({
              deadLetterTargetArn: deadLetter.attributes['QueueArn'],
              maxReceiveCount: wanted.maxReceiveCount,
            }),
          }
        : {}),
    },
  };
}

/** KEDA's SQS scaler takes a queue URL apart by its path and fails on any other form, long after we have started. */
function checkUrl(queue: FoundQueue): QueueProblem | null {
  const path = URL.canParse(queue.url) ? new URL(queue.url).pathname : queue.url;
  const [root, account = '', name, ...more] = path.split('/');
  if (root === '' && /^\d{12}$/.test(account) && name === queue.name && more.length === 0) return null;
  const fix = 'use an endpoint whose queue URLs have this form; KEDA cannot read any other';
  return {
    queue: queue.name,
    attribute: 'URL path',
    expected: `/<12-digit account>/${queue.name}`,
    actual: path,
    fix,
  };
}

function checkEqual(queue: FoundQueue, attribute: string, expected: string): QueueProblem | null {
  const actual = queue.attributes[attribute] ?? notSet;
  return actual === expected ? null : problem(queue, attribute, expected, actual);
}

function problem(queue: FoundQueue, attribute: string, expected: string, actual: string): QueueProblem {
  const fix = 'set it on the queue, or start once with QUEUE_PROVISIONING=create';
  return { queue: queue.name, attribute, expected, actual, fix };
}

function redrivePolicy(queue: FoundQueue): {
  deadLetterTargetArn?: string;
  maxReceiveCount?: number | string;
} {
  try {
    return JSON.parse(queue.attributes['RedrivePolicy'] ?? '{}') as ReturnType<typeof redrivePolicy>;
  } catch {
    // An unreadable policy is reported as a missing one: the fix is the same.
    return {};
  }
}
