import type { ClaimResult, DeliveryWork, Unclaimed } from '../domain/deliveries/delivery-work.ts';
import { classifyFailure } from '../domain/failure-classes.ts';
import type { HandlerContext } from '../queue/message.ts';
import { type AttemptDeps, attemptDelivery } from './attempt.ts';
import type { Handled } from './handled.ts';
import type { LeaseRenewal } from './lease-renewal.ts';
import type { MailBreaker, MailObservation, Permit } from './mail-breaker.ts';
import type { Settle } from './settle.ts';
import { type AttemptResult, decide, type Overtaken, type RetryPolicy, type Verdict } from './verdict.ts';

export type DeliverDeps = AttemptDeps & {
  settle: Settle;
  retry: RetryPolicy;
  breaker: MailBreaker;
  leases: LeaseRenewal;
  leaseSeconds: number;
};

/** What follows a claim: attempt, verdict, outcome in the database, and only then an answer to the queue. */
export async function deliverClaimed(
  deps: DeliverDeps,
  claim: ClaimResult,
  options: Pick<HandlerContext, 'signal' | 'outlast'> & { permit: Permit; missingCode: string },
): Promise<Handled> {
  options.permit.claimed(null);
  if (claim.kind !== 'claimed') return answerUnclaimed(deps, claim, options.missingCode);
  const { work } = claim;
  const release = deps.leases.keep(work);
  try {
    return await attemptAndSettle(deps, work, options);
  } finally {
    release();
  }
}

async function attemptAndSettle(
  deps: DeliverDeps,
  work: DeliveryWork,
  options: Pick<HandlerContext, 'signal' | 'outlast'> & { permit: Permit },
): Promise<Handled> {
  const { signal, permit } = options;
  const beganMs = performance.now();
  const known = knownBefore(work, deps.retry);
  const attempt = known ?? (await attemptDelivery(deps, work, { signal, revoked: permit.revoked }));
  permit.end(known === null ? observationOf(work, attempt) : undefined);
  const leaseEndsAtMs = performance.now() + deps.leaseSeconds * 1_000;
  if (attempt.kind === 'overtaken')
    return {
      ...factsOf(work),
      result: 'overtaken',
      outcome: retryAt(deps, leaseEndsAtMs, 'overtaken'),
    };
  const { pausedForMs } = deps.breaker;
  const verdict = decide(work, attempt, deps.retry, { pausedForMs });
  // What is out can't be undone: no deadline ends the wait for its record, or another mail would follow.
  const isOut = attempt.kind === 'sent' || (attempt.kind === 'failed' && attempt.inDoubt);
  const recorded = await deps.settle(verdict.settlement, isOut ? options.outlast() : options.signal);
  const facts = { ...factsOf(work), ...failureFacts(attempt) };
  switch (recorded.kind) {
    case 'recorded':
      return {
        ...facts,
        ...waitOf(work, verdict, beganMs),
        result: verdict.result,
        outcome: verdict.outcome,
      };
    case 'overtaken':
      // The worker that took over answers for the gift; should it die, this message is what brings the gift back.
      return { ...facts, result: 'overtaken', outcome: retryAt(deps, leaseEndsAtMs, 'overtaken') };
    case 'failed': {
      const { class: failureClass, code } = classifyFailure(recorded.error);
      const outcome = retryAt(deps, leaseEndsAtMs, 'not_settled');
      return { ...facts, result: 'unsettled', class: failureClass, code, error: recorded.error, outcome };
    }
  }
}

/** What is known of an attempt without making it; null when it is to be made. */
function knownBefore(work: DeliveryWork, { maxRetryCount }: RetryPolicy): AttemptResult | null {
  if (work.maybeOut) return lostInDoubt;
  // Its workers ended each time before a mail left. What kills them may be the delivery: it is given so many, and three at least.
  return work.attemptsCounted > Math.max(3, maxRetryCount + 1) ? lostTooOften : null;
}

const lost = { class: 'transient', owner: 'item', reach: 'one' } as const;

/** The mail may be out, and who could tell is gone: a mail in doubt like any other. */
const lostInDoubt: AttemptResult = {
  kind: 'failed',
  failure: { ...lost, code: 'worker_lost', reason: 'the worker that sent its mail ended without an outcome' },
  inDoubt: true,
  mailed: false,
};

/** Passing, because a worker dies of many things: the dead letter that it becomes is never charged to its gift. */
const lostTooOften: AttemptResult = {
  kind: 'failed',
  failure: { ...lost, code: 'attempts_lost', reason: 'its attempts ended without an outcome too often' },
  inDoubt: false,
  mailed: false,
};

function answerUnclaimed(deps: DeliverDeps, claim: Unclaimed, missingCode: string): Handled {
  switch (claim.kind) {
    case 'settled':
      return { result: 'repeat', outcome: { kind: 'done' } };
    case 'not_due':
      return { result: 'not_due', outcome: { kind: 'done' } };
    case 'leased':
      return {
        result: 'leased',
        outcome: retryAt(deps, performance.now() + claim.leftSeconds * 1_000, 'leased'),
      };
    case 'missing':
      return {
        result: 'missing',
        class: 'permanent',
        code: missingCode,
        outcome: { kind: 'dead-letter', class: 'permanent', reason: missingCode },
      };
  }
}

/** When the lease is over, and up to two seconds later: what waited together must not come back together. */
function retryAt(deps: DeliverDeps, atMs: number, reason: string): Handled['outcome'] {
  const waitMs = Math.max(0, atMs - performance.now()) + deps.retry.random() * 2_000;
  return { kind: 'retry', delaySeconds: Math.max(1, Math.ceil(waitMs / 1_000)), reason };
}

/** What an attempt tells of the mail server; undefined when it was not asked. */
function observationOf(
  { deliveryId }: DeliveryWork,
  attempt: AttemptResult | Overtaken,
): MailObservation | undefined {
  if (attempt.kind === 'interrupted' || attempt.kind === 'overtaken') return undefined;
  if (attempt.kind === 'sent') return attempt.mailed ? { served: true } : undefined;
  // An erased recipient says nothing; a failure of ours before the mail would be met by others, too.
  const { failure, mailed } = attempt;
  return mailed || failure.owner !== 'item' ? { served: false, failure, deliveryId } : undefined;
}

function factsOf(work: DeliveryWork) {
  return {
    gift_id: work.giftId,
    delivery_id: work.deliveryId,
    purpose: work.purpose,
    attempt: work.attempt,
    attempts_counted: work.attemptsCounted,
  };
}

/** Of the delivery by which a gift becomes delivered, which is the first: repeats of a mail in doubt, resends and reminders are none. */
function waitOf(
  { purpose, inDoubt, waitedSeconds }: DeliveryWork,
  { result }: Verdict,
  beganMs: number,
): Pick<Handled, 'waited_seconds'> {
  const isFirst = purpose === 'gift' && inDoubt === 0 && (result === 'delivered' || result === 'in_doubt');
  const seconds = waitedSeconds + (performance.now() - beganMs) / 1_000;
  return isFirst ? { waited_seconds: Math.round(seconds * 1_000) / 1_000 } : {};
}

function failureFacts(attempt: AttemptResult): Partial<Handled> {
  if (attempt.kind === 'interrupted') return attempt.evidence ?? {};
  if (attempt.kind !== 'failed') return {};
  const { class: failureClass, owner, code, reason } = attempt.failure;
  return { class: failureClass, owner, code, reason, ...attempt.evidence };
}
