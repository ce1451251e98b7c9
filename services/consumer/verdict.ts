import type { DeliveryWork } from '../domain/deliveries/delivery-work.ts';
import type { Settlement } from '../domain/deliveries/settle-deliveries.ts';
import type { Failure } from '../domain/failure-classes.ts';
import { fullJitterMs } from '../queue/backoff.ts';
import type { Outcome } from '../queue/message.ts';

/** How one attempt went. */
export type AttemptResult =
  /** `mailed`: a mail server was asked; a gift to a wallet needs none */
  | { kind: 'sent'; mailed: boolean }
  /**
   * nothing has left: the process is shutting down, consumption is paused, no connection was free in time, or it could not be
   * put on record that the mail may be out
   */
  | { kind: 'interrupted'; reason: 'shutdown' | 'paused' | 'mail_busy' | 'unmarked'; evidence?: Evidence }
  /** `inDoubt`: the mail may have been accepted all the same; `evidence`: for the log, free of personal data */
  | { kind: 'failed'; failure: Failure; inDoubt: boolean; mailed: boolean; evidence?: Evidence };

/** Found out before the mail left: the delivery is another worker's, or over. */
export type Overtaken = { kind: 'overtaken' };

/** nodemailer's code where a mail failed; the error itself only where no mail server had a word in it. */
export type Evidence = { mail_code?: string; error?: unknown };

export type RetryPolicy = {
  /** attempts after the first */
  maxRetryCount: number;
  baseMs: number;
  capMs: number;
  /** whether a failure that is not the item's costs no attempt */
  forgives: boolean;
  /** how often a mail that is in doubt is sent once more */
  inDoubtRepeats: number;
  /** before the first of those; each later one waits 16 times as long */
  inDoubtPauseSeconds: number;
  random: () => number;
};

/** What an attempt leads to: a row in Postgres, and what the queue hears once that row is committed. */
export type Verdict = {
  result: 'delivered' | 'interrupted' | 'retry' | 'in_doubt' | 'dead_letter' | 'given_up';
  settlement: Settlement;
  outcome: Outcome;
};

type Work = Pick<
  DeliveryWork,
  'deliveryId' | 'attempt' | 'attemptsCounted' | 'purpose' | 'inDoubt' | 'ageSeconds'
>;

/** What else a verdict depends on. */
export type Moment = {
  /** until consumption is tried again, when it is paused at this moment; null while it is not */
  pausedForMs: number | null;
};

/** Pure but for `policy.random`. Our counter decides, not SQS's: that one also counts receives in which nothing was tried. */
export function decide(work: Work, attempt: AttemptResult, policy: RetryPolicy, moment: Moment): Verdict {
  const settled = { deliveryId: work.deliveryId, attempt: work.attempt };
  switch (attempt.kind) {
    case 'sent':
      return {
        result: 'delivered',
        settlement: { ...settled, outcome: 'sent' },
        outcome: { kind: 'done' },
      };
    case 'interrupted':
      return {
        result: 'interrupted',
        settlement: { ...settled, outcome: 'interrupted' },
        outcome: {
          kind: 'retry',
          delaySeconds: delayOf(moment.pausedForMs ?? interruptionMs(work, attempt.reason, policy)),
          reason: attempt.reason,
        },
      };
    case 'failed':
      if (attempt.inDoubt) return leaveInDoubt(work, attempt.failure, policy);
      return isOver.some((rule) => rule(work, attempt.failure, { ...policy, ...moment }))
        ? giveUp(work, attempt.failure)
        : tryAgain(work, attempt.failure, policy, moment);
  }
}

/**
 * The longest that a failure which is not the item's is waited for: three days, after which mail servers give up as well.
 * The dead letter that it becomes is judged by the reconciler, and not final.
 */
const longestWaitSeconds = 3 * 24 * 3_600;

/** When there is no next attempt. */
const isOver: ((work: Work, failure: Failure, given: RetryPolicy & Moment) => boolean)[] = [
  (_work, failure) => failure.class === 'permanent' || failure.class === 'poison',
  (work, failure, given) => !isForgiven(failure, given) && work.attemptsCounted > given.maxRetryCount,
  (work, failure, given) =>
    isForgiven(failure, given) && given.pausedForMs === null && work.ageSeconds > longestWaitSeconds,
];

/** Whether an attempt says nothing of its delivery: a fault that others would meet as well, or one during a pause. */
function isForgiven(failure: Failure, { pausedForMs, forgives }: RetryPolicy & Moment): boolean {
  if (!forgives || failure.owner === 'item') return false;
  return pausedForMs !== null || failure.reach === 'many' || failure.reach === 'all';
}

/**
 * The server had the whole mail and did not say whether it took it. A repeat may be a second copy, so there are few of them
 * and they come late; and the recipient may have the link, so the gift counts as delivered and can be claimed.
 * A reminder is sent at most once.
 */
function leaveInDoubt(work: Work, failure: Failure, policy: RetryPolicy): Verdict {
  const { inDoubtRepeats, inDoubtPauseSeconds, random } = policy;
  const isLast = work.purpose === 'reminder' || work.inDoubt >= inDoubtRepeats;
  const pause = Math.min(longestPauseSeconds, inDoubtPauseSeconds * 16 ** work.inDoubt);
  const repeatSeconds = isLast ? null : Math.ceil(pause * (1 + random() / 10));
  return {
    result: 'in_doubt',
    settlement: {
      deliveryId: work.deliveryId,
      attempt: work.attempt,
      outcome: 'in_doubt',
      failure,
      repeatSeconds,
    },
    outcome:
      repeatSeconds === null
        ? { kind: 'done' }
        : { kind: 'retry', delaySeconds: repeatSeconds + 1, reason: failure.code },
  };
}

/** SQS hides a message for 12 h at most. */
const longestPauseSeconds = 10 * 3_600;

function giveUp(work: Work, failure: Failure): Verdict {
  const settled = { deliveryId: work.deliveryId, attempt: work.attempt, outcome: 'dead_letter' } as const;
  if (work.purpose === 'reminder' || isRepeat(work)) {
    // Nobody's money hangs on it: it ends here instead of waiting for a redrive.
    return {
      result: 'given_up',
      settlement: { ...settled, failure, final: true },
      outcome: { kind: 'done' },
    };
  }
  return {
    result: 'dead_letter',
    settlement: { ...settled, failure },
    outcome: { kind: 'dead-letter', class: failure.class, reason: failure.code },
  };
}

/** Of a mail in doubt: its gift counts as delivered already. */
function isRepeat(work: Work): boolean {
  return work.purpose === 'gift' && work.inDoubt > 0;
}

function tryAgain(work: Work, failure: Failure, policy: RetryPolicy, moment: Moment): Verdict {
  const { baseMs, capMs, random } = policy;
  const { retryAfterMs } = failure;
  const forgiven = isForgiven(failure, { ...policy, ...moment });
  const delayMs =
    moment.pausedForMs ??
    fullJitterMs({
      // What is forgiven does not count, and must be spaced all the same.
      attempt: forgiven ? work.attempt : work.attemptsCounted,
      baseMs,
      capMs,
      random,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  const delaySeconds = delayOf(delayMs);
  return {
    result: 'retry',
    settlement: {
      deliveryId: work.deliveryId,
      attempt: work.attempt,
      outcome: 'retry',
      failure,
      // A span: by which clock it ends, the database says. This process's may be wrong, or be set right meanwhile.
      retrySeconds: delaySeconds,
      forgiven,
    },
    outcome: { kind: 'retry', delaySeconds, reason: failure.code },
  };
}

/** A fault of ours would be met again at once, and an interruption counts towards no limit. */
function interruptionMs({ attempt }: Work, reason: string, { baseMs, capMs, random }: RetryPolicy): number {
  return reason === 'unmarked' ? fullJitterMs({ attempt, baseMs, capMs, random }) : 0;
}

function delayOf(ms: number): number {
  return Math.ceil(ms / 1_000);
}
