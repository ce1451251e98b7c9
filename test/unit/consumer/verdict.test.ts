import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type AttemptResult, decide, type RetryPolicy } from '../../../services/consumer/verdict.ts';
import type { Failure } from '../../../services/domain/failure-classes.ts';
import { newId } from '../../../services/domain/ids.ts';

const now = new Date('2026-11-21T10:00:00Z');
const policy: RetryPolicy = { maxRetryCount: 5, baseMs: 2_000, capMs: 900_000, random: () => 0.5 };
const transient: Failure = {
  class: 'transient',
  owner: 'item',
  reach: 'one',
  code: 'mailbox_unavailable',
  reason: 'try later',
};
const permanent: Failure = {
  class: 'permanent',
  owner: 'item',
  reach: 'one',
  code: 'recipient_refused',
  reason: 'no such user',
};
const unknown: Failure = {
  class: 'unknown',
  owner: 'unknown',
  reach: 'some',
  code: 'unexpected_error',
  reason: 'an unexpected error',
};

const work = (changes: Partial<Parameters<typeof decide>[0]> = {}) => ({
  deliveryId: newId('dlv'),
  attempt: 1,
  attemptsCounted: 1,
  purpose: 'gift' as const,
  ...changes,
});
const failed = (failure: Failure, inDoubt = false): AttemptResult => ({ kind: 'failed', failure, inDoubt });

describe('an attempt that was sent', () => {
  test('is settled as sent and done', () => {
    const verdict = decide(work({ attempt: 3 }), { kind: 'sent' }, policy, now);
    expect(verdict).toMatchObject({
      result: 'delivered',
      settlement: { outcome: 'sent', attempt: 3 },
      outcome: { kind: 'done' },
    });
  });
});

describe('an attempt that was not begun when the process was stopped', () => {
  test('is given back at once', () => {
    expect(decide(work(), { kind: 'interrupted' }, policy, now)).toMatchObject({
      settlement: { outcome: 'interrupted' },
      outcome: { kind: 'retry', delaySeconds: 0 },
    });
  });
});

describe('an attempt that failed', () => {
  test('is tried again after a pause with full jitter, and the row and the queue agree on when', () => {
    const verdict = decide(work({ attempt: 9, attemptsCounted: 3 }), failed(transient), policy, now);
    // 0.5 of 2 s * 2^3
    expect(verdict).toMatchObject({
      result: 'retry',
      settlement: {
        outcome: 'retry',
        attempt: 9,
        failure: transient,
        nextAttemptAt: new Date(now.getTime() + 8_000),
      },
      outcome: { kind: 'retry', delaySeconds: 8, reason: 'mailbox_unavailable' },
    });
  });

  test('waits at least as long as the other side asked for', () => {
    const verdict = decide(work(), failed({ ...transient, retryAfterMs: 120_000 }), policy, now);
    expect(verdict.outcome).toMatchObject({ kind: 'retry', delaySeconds: 120 });
  });

  test.each([1, 2, 3, 4, 5])('is tried again when %i of 6 attempts are used', (attemptsCounted) => {
    expect(decide(work({ attemptsCounted }), failed(transient), policy, now).result).toBe('retry');
    expect(decide(work({ attemptsCounted }), failed(unknown), policy, now).result).toBe('retry');
  });

  test('is dead-lettered with class and code when retries are used up', () => {
    expect(decide(work({ attemptsCounted: 6 }), failed(unknown), policy, now)).toMatchObject({
      result: 'dead_letter',
      settlement: { outcome: 'dead_letter', failure: unknown },
      outcome: { kind: 'dead-letter', class: 'unknown', reason: 'unexpected_error' },
    });
  });

  test('counts only what was tried since the last redrive', () => {
    const redriven = work({ attempt: 40, attemptsCounted: 1 });
    expect(decide(redriven, failed(transient), policy, now).result).toBe('retry');
  });

  test('is dead-lettered at once when trying again can not help', () => {
    expect(decide(work(), failed(permanent), policy, now)).toMatchObject({
      result: 'dead_letter',
      outcome: { kind: 'dead-letter', class: 'permanent', reason: 'recipient_refused' },
    });
  });

  test('is tried again although the mail may have arrived: the copy carries the same id and link', () => {
    expect(decide(work(), failed(transient, true), policy, now).result).toBe('retry');
    expect(decide(work({ purpose: 'resend' }), failed(transient, true), policy, now).result).toBe('retry');
  });
});

describe('P55: a reminder that failed', () => {
  const reminder = (attemptsCounted = 1) => work({ purpose: 'reminder', attemptsCounted });

  test.each([
    ['may have arrived', reminder(), failed(transient, true)],
    ['was refused for good', reminder(), failed(permanent)],
    ['has used up its retries', reminder(6), failed(transient)],
  ])('and %s ends for good, without a dead letter', (_why, given, attempt) => {
    expect(decide(given, attempt, policy, now)).toMatchObject({
      result: 'given_up',
      settlement: { outcome: 'dead_letter', final: true },
      outcome: { kind: 'done' },
    });
  });

  test('before the server had it is tried again', () => {
    expect(decide(reminder(), failed(transient), policy, now).result).toBe('retry');
  });
});

describe('any failure', () => {
  const anyWork = fc.record({
    attemptsCounted: fc.integer({ min: 1, max: 200 }),
    purpose: fc.constantFrom('gift' as const, 'resend' as const, 'reminder' as const),
  });
  const anyFailure = fc.record({
    failure: fc.constantFrom(transient, permanent, unknown),
    inDoubt: fc.boolean(),
  });

  test('is either tried again within the cap or ended, and never acknowledged with money in the air', () => {
    fc.assert(
      fc.property(
        anyWork,
        anyFailure,
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (given, failure, jitter) => {
          const verdict = decide(
            work(given),
            { kind: 'failed', ...failure },
            { ...policy, random: () => jitter },
            now,
          );
          if (verdict.outcome.kind === 'retry') {
            expect(given.attemptsCounted).toBeLessThanOrEqual(policy.maxRetryCount);
            expect(verdict.outcome.delaySeconds).toBeLessThanOrEqual(policy.capMs / 1_000);
            expect(Number.isInteger(verdict.outcome.delaySeconds)).toBe(true);
          }
          expect(verdict.outcome.kind === 'done').toBe(verdict.result === 'given_up');
          expect(verdict.result === 'given_up' && given.purpose !== 'reminder').toBe(false);
        },
      ),
    );
  });
});
