import type { DeliveryWork } from '../domain/deliveries/delivery-work.ts';
import type { Settlement } from '../domain/deliveries/settle-deliveries.ts';
import type { Failure } from '../domain/failure-classes.ts';
import { fullJitterMs } from '../queue/backoff.ts';
import type { Outcome } from '../queue/message.ts';

/** How one attempt went. */
export type AttemptResult =
  | { kind: 'sent' }
  /** the process is shutting down and nothing had been begun */
  | { kind: 'interrupted' }
  /** `inDoubt`: the mail may have been accepted all the same; `evidence`: for the log, free of personal data */
  | { kind: 'failed'; failure: Failure; inDoubt: boolean; evidence?: Evidence };

/** nodemailer's code where a mail failed; the error itself only where no mail server had a word in it. */
export type Evidence = { mail_code?: string; error?: unknown };

export type RetryPolicy = {
  /** attempts after the first */
  maxRetryCount: number;
  baseMs: number;
  capMs: number;
  random: () => number;
};

/** What an attempt leads to: a row in Postgres, and what the queue hears once that row is committed. */
export type Verdict = {
  result: 'delivered' | 'interrupted' | 'retry' | 'dead_letter' | 'given_up';
  settlement: Settlement;
  outcome: Outcome;
};

type Work = Pick<DeliveryWork, 'deliveryId' | 'attempt' | 'attemptsCounted' | 'purpose'>;
type Failed = Extract<AttemptResult, { kind: 'failed' }>;

/** Pure but for `policy.random`. Our counter decides, not SQS's: that one also counts receives in which nothing was tried. */
export function decide(work: Work, attempt: AttemptResult, policy: RetryPolicy, now: Date): Verdict {
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
        outcome: { kind: 'retry', delaySeconds: 0, reason: 'shutdown' },
      };
    case 'failed':
      return isOver.some((rule) => rule(work, attempt, policy))
        ? giveUp(work, attempt.failure)
        : tryAgain(work, attempt.failure, policy, now);
  }
}

/** When there is no next attempt. */
const isOver: ((work: Work, attempt: Failed, policy: RetryPolicy) => boolean)[] = [
  // A reminder is sent at most once, and this one may be in the mailbox already.
  (work, attempt) => work.purpose === 'reminder' && attempt.inDoubt,
  (_work, { failure }) => failure.class === 'permanent' || failure.class === 'poison',
  (work, _attempt, policy) => work.attemptsCounted > policy.maxRetryCount,
];

function giveUp(work: Work, failure: Failure): Verdict {
  const settled = { deliveryId: work.deliveryId, attempt: work.attempt, outcome: 'dead_letter' } as const;
  if (work.purpose === 'reminder') {
    // Nobody's money hangs on a reminder: it ends here instead of waiting for a redrive.
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

function tryAgain(work: Work, failure: Failure, policy: RetryPolicy, now: Date): Verdict {
  const { baseMs, capMs, random } = policy;
  const { retryAfterMs } = failure;
  const delayMs = fullJitterMs({
    attempt: work.attemptsCounted,
    baseMs,
    capMs,
    random,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
  const delaySeconds = Math.ceil(delayMs / 1_000);
  const nextAttemptAt = new Date(now.getTime() + delaySeconds * 1_000);
  return {
    result: 'retry',
    settlement: {
      deliveryId: work.deliveryId,
      attempt: work.attempt,
      outcome: 'retry',
      failure,
      nextAttemptAt,
    },
    outcome: { kind: 'retry', delaySeconds, reason: failure.code },
  };
}
