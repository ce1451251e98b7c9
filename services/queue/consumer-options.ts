import type { Handler } from './message.ts';
import type { QueueInfo } from './provision.ts';
import type { QueueObserver } from './queue-observer.ts';
import type { QueueClients } from './sqs.ts';

export interface QueueConsumerOptions {
  readonly clients: QueueClients;
  readonly queue: Pick<QueueInfo, 'name' | 'url' | 'deadLetterUrl' | 'visibilityTimeoutSeconds'>;
  readonly handler: Handler;
  readonly observer?: QueueObserver;
  /**
   * Handlers at once. Up to 20 messages more are received ahead while handlers finish faster than 400 a second. Default 50.
   */
  readonly maxInFlight?: number;
  /** Long-polling receives at once while the queue is full; when it is not, one. Default a tenth of the window, 1 to 5. */
  readonly maxReceivers?: number;
  /** 1-20, default 20: the wait of the one poll that an idle consumer keeps open. */
  readonly waitTimeSeconds?: number;
  /** After this long a receive asks for what room there is, rather than wait for room for 10. Default 250. */
  readonly roomPatienceMs?: number;
  /** A handler is told to stop at this age. Default 60,000. */
  readonly handlerTimeoutMs?: number;
  /** After being told to stop it has this long to settle; then its slot is taken back. Default 1,000. */
  readonly abortGraceMs?: number;
  /** Longest that a delete or visibility change waits for a full batch of 10. Default 100: full from 100 messages/s on. */
  readonly settleDelayMs?: number;
  /**
   * Everything that `stop()` may take. Must exceed `waitTimeSeconds` by the reserve for the end: the open poll is left to end by itself, because SQS can
   * still hand messages to a poll whose client has gone, and they then lie invisible for the visibility time-out. Default 25,000.
   */
  readonly graceMs?: number;
  /** Consecutive empty receives after which the queue is asked whether it really is empty. Default 3. */
  readonly emptyReceivesBeforeCheck?: number;
  /** Shortest time between two such questions. Default 60,000. */
  readonly starvationCheckIntervalMs?: number;
  /** Milliseconds since 1970. Default: of a clock that never steps back, so that no lease seems longer than it is. */
  readonly now?: () => number;
  readonly random?: () => number;
  /** Holds receiving back; handlers, leases and health go on. Default: never. */
  readonly admission?: Admission;
}

/** How many messages may be received at this moment. */
export interface Admission {
  readonly now: () => number;
  /** Waits until at least one may; 0 when `signal` is aborted before. */
  readonly next: (signal: AbortSignal) => Promise<number>;
}

export const anyNumber: Admission = {
  now: () => Number.POSITIVE_INFINITY,
  next: () => Promise.resolve(Number.POSITIVE_INFINITY),
};

export type ResolvedOptions = Required<QueueConsumerOptions>;

/** The last part of a shutdown: abort, release, flush. 4 s of the usual 25 s leave the open poll its 20 s and one to spare. */
export function shutdownReserveMs(graceMs: number): number {
  return Math.min(4_000, graceMs / 4);
}

/** @throws RangeError with one sentence per problem, each naming the field and the fix. */
export function resolveOptions(options: QueueConsumerOptions): ResolvedOptions {
  const maxInFlight = options.maxInFlight ?? 50;
  const resolved: ResolvedOptions = {
    observer: {},
    maxInFlight,
    maxReceivers: Math.max(1, Math.min(5, Math.floor(maxInFlight / 10))),
    waitTimeSeconds: 20,
    roomPatienceMs: 250,
    handlerTimeoutMs: 60_000,
    abortGraceMs: 1_000,
    settleDelayMs: 100,
    graceMs: 25_000,
    emptyReceivesBeforeCheck: 3,
    starvationCheckIntervalMs: 60_000,
    now: monotonicNow,
    random: Math.random,
    admission: anyNumber,
    ...withoutUndefined(options),
  };
  const problems = rules.map((rule) => rule(resolved)).filter((problem) => problem !== null);
  if (problems.length > 0) throw new RangeError(problems.join('\n'));
  return resolved;
}

function monotonicNow(): number {
  return performance.timeOrigin + performance.now();
}

type Rule = (options: ResolvedOptions) => string | null;

const rules: readonly Rule[] = [
  wholeNumber('maxInFlight', 1, 10_000),
  wholeNumber('maxReceivers', 1, 50),
  wholeNumber('waitTimeSeconds', 1, 20),
  wholeNumber('roomPatienceMs', 0, 60_000),
  // A message can be held for 12 h in all; past that SQS refuses every extension.
  wholeNumber('handlerTimeoutMs', 1, 11 * 3_600_000),
  wholeNumber('abortGraceMs', 0, 60_000),
  wholeNumber('settleDelayMs', 0, 5_000),
  wholeNumber('graceMs', 1_000, 3_600_000),
  wholeNumber('emptyReceivesBeforeCheck', 1, 1_000_000),
  wholeNumber('starvationCheckIntervalMs', 0, 86_400_000),
  ({ queue: { visibilityTimeoutSeconds: seconds } }) =>
    Number.isInteger(seconds) && seconds >= 1 && seconds <= 43_200
      ? null
      : `queue.visibilityTimeoutSeconds is ${seconds}: choose a whole number from 1 to 43200`,
  ({ queue }) =>
    URL.canParse(queue.url) && URL.canParse(queue.deadLetterUrl)
      ? null
      : 'queue.url and queue.deadLetterUrl must be URLs: take them from ensureQueue',
  ({ queue }) =>
    queue.url === queue.deadLetterUrl
      ? 'queue.deadLetterUrl equals queue.url: a dead letter would come straight back; name another queue'
      : null,
  ({ graceMs, waitTimeSeconds }) =>
    graceMs - shutdownReserveMs(graceMs) > waitTimeSeconds * 1_000
      ? null
      : `graceMs is ${graceMs}, too little above waitTimeSeconds (${waitTimeSeconds} s): a shutdown would cut the open ` +
        'poll and strand what it receives; raise graceMs or lower waitTimeSeconds',
  ({ maxReceivers, maxInFlight }) =>
    maxReceivers <= maxInFlight
      ? null
      : `maxReceivers is ${maxReceivers}, above maxInFlight (${maxInFlight}): the window has no room for them; lower it`,
  ({ settleDelayMs, queue }) =>
    settleDelayMs * 4 <= queue.visibilityTimeoutSeconds * 1_000
      ? null
      : `settleDelayMs is ${settleDelayMs}, above a quarter of the visibility time-out: finished messages would come back ` +
        'before they are deleted; lower it',
];

type NumericField = {
  [K in keyof ResolvedOptions]: ResolvedOptions[K] extends number ? K : never;
}[keyof ResolvedOptions];

function wholeNumber(field: NumericField, least: number, most: number): Rule {
  return (options) => {
    const value = options[field];
    if (Number.isInteger(value) && value >= least && value <= most) return null;
    return `${field} is ${value}: choose a whole number from ${least} to ${most}`;
  };
}

function withoutUndefined(options: QueueConsumerOptions): QueueConsumerOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as unknown as QueueConsumerOptions;
}
