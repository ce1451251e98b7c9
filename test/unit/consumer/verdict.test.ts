import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type AttemptResult, decide, type RetryPolicy } from '../../../services/consumer/verdict.ts';
import type { Failure } from '../../../services/domain/failure-classes.ts';
import { newId } from '../../../services/domain/ids.ts';

const moment = { pausedForMs: null };
const policy: RetryPolicy = {
  maxRetryCount: 5,
  baseMs: 2_000,
  capMs: 900_000,
  forgives: true,
  inDoubtRepeats: 1,
  inDoubtPauseSeconds: 900,
  random: () => 0.5,
};
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

const work = (changes: Partial<Parameters<typeof decide>[0]> = {}): Parameters<typeof decide>[0] => ({
  deliveryId: newId('dlv'),
  attempt: 1,
  attemptsCounted: 1,
  purpose: 'gift' as const,
  inDoubt: 0,
  ageSeconds: 60,
  ...changes,
});
const failed = (failure: Failure, inDoubt = false): AttemptResult => ({
  kind: 'failed',
  failure,
  inDoubt,
  mailed: true,
});

describe('an attempt that was sent', () => {
  test('is settled as sent and done', () => {
    const verdict = decide(work({ attempt: 3 }), { kind: 'sent', mailed: true }, policy, moment);
    expect(verdict).toMatchObject({
      result: 'delivered',
      settlement: { outcome: 'sent', attempt: 3 },
      outcome: { kind: 'done' },
    });
  });
});

describe('an attempt that was not begun when the process was stopped', () => {
  test('is given back at once', () => {
    expect(decide(work(), { kind: 'interrupted', reason: 'shutdown' }, policy, moment)).toMatchObject({
      settlement: { outcome: 'interrupted' },
      outcome: { kind: 'retry', delaySeconds: 0 },
    });
  });
});

describe('an attempt that failed', () => {
  test('is tried again after a pause with full jitter, and the row and the queue agree on when', () => {
    const verdict = decide(work({ attempt: 9, attemptsCounted: 3 }), failed(transient), policy, moment);
    // 0.5 of 2 s * 2^3
    expect(verdict).toMatchObject({
      result: 'retry',
      settlement: {
        outcome: 'retry',
        attempt: 9,
        failure: transient,
        retrySeconds: 8,
      },
      outcome: { kind: 'retry', delaySeconds: 8, reason: 'mailbox_unavailable' },
    });
  });

  test('waits at least as long as the other side asked for', () => {
    const verdict = decide(work(), failed({ ...transient, retryAfterMs: 120_000 }), policy, moment);
    expect(verdict.outcome).toMatchObject({ kind: 'retry', delaySeconds: 120 });
  });

  test.each([1, 2, 3, 4, 5])('is tried again when %i of 6 attempts are used', (attemptsCounted) => {
    expect(decide(work({ attemptsCounted }), failed(transient), policy, moment).result).toBe('retry');
    expect(decide(work({ attemptsCounted }), failed(unknown), policy, moment).result).toBe('retry');
  });

  test('is dead-lettered with class and code when retries are used up', () => {
    expect(decide(work({ attemptsCounted: 6 }), failed(unknown), policy, moment)).toMatchObject({
      result: 'dead_letter',
      settlement: { outcome: 'dead_letter', failure: unknown },
      outcome: { kind: 'dead-letter', class: 'unknown', reason: 'unexpected_error' },
    });
  });

  test('counts only what was tried since the last redrive', () => {
    const redriven = work({ attempt: 40, attemptsCounted: 1 });
    expect(decide(redriven, failed(transient), policy, moment).result).toBe('retry');
  });

  test('is dead-lettered at once when trying again can not help', () => {
    expect(decide(work(), failed(permanent), policy, moment)).toMatchObject({
      result: 'dead_letter',
      outcome: { kind: 'dead-letter', class: 'permanent', reason: 'recipient_refused' },
    });
  });
});

describe('P55: a reminder that failed', () => {
  const reminder = (attemptsCounted = 1) => work({ purpose: 'reminder', attemptsCounted });

  test.each([
    ['was refused for good', reminder(), failed(permanent)],
    ['has used up its retries', reminder(6), failed(transient)],
  ])('and %s ends for good, without a dead letter', (_why, given, attempt) => {
    expect(decide(given, attempt, policy, moment)).toMatchObject({
      result: 'given_up',
      settlement: { outcome: 'dead_letter', final: true },
      outcome: { kind: 'done' },
    });
  });

  test('before the server had it is tried again', () => {
    expect(decide(reminder(), failed(transient), policy, moment).result).toBe('retry');
  });
});

describe('an outcome in doubt is not repeated like a failure', () => {
  const doubtful = failed({ ...transient, owner: 'peer', reach: 'many' }, true);

  test('the first is repeated once, after a quarter of an hour, and its gift counts as delivered', () => {
    expect(decide(work(), doubtful, policy, moment)).toMatchObject({
      result: 'in_doubt',
      settlement: { outcome: 'in_doubt', repeatSeconds: 945 },
      outcome: { kind: 'retry', delaySeconds: 946 },
    });
  });

  test('the repeat is the last', () => {
    expect(decide(work({ attempt: 2, inDoubt: 1 }), doubtful, policy, moment)).toMatchObject({
      result: 'in_doubt',
      settlement: { outcome: 'in_doubt', repeatSeconds: null },
      outcome: { kind: 'done' },
    });
  });

  test('where more are wanted, the later ones come after hours', () => {
    const repeats = [0, 1, 2, 3, 4, 5].map(
      (inDoubt) => decide(work({ inDoubt }), doubtful, { ...policy, inDoubtRepeats: 5 }, moment).settlement,
    );
    expect(repeats.map((settlement) => 'repeatSeconds' in settlement && settlement.repeatSeconds)).toEqual([
      945,
      15_120,
      37_800,
      37_800,
      37_800,
      null,
    ]);
  });

  test('a reminder is never repeated', () => {
    expect(decide(work({ purpose: 'reminder' }), doubtful, policy, moment)).toMatchObject({
      settlement: { outcome: 'in_doubt', repeatSeconds: null },
      outcome: { kind: 'done' },
    });
  });

  test('a repeat that is refused ends there: its gift is delivered, and no dead letter follows', () => {
    expect(decide(work({ inDoubt: 1 }), failed(permanent), policy, moment)).toMatchObject({
      result: 'given_up',
      settlement: { outcome: 'dead_letter', final: true },
      outcome: { kind: 'done' },
    });
  });
});

describe('a fault of ours or of a peer is not charged to the item', () => {
  const ours: Failure = {
    class: 'transient',
    owner: 'us',
    reach: 'many',
    code: 'mail_relay_denied',
    reason: 'no',
  };

  test('it costs no attempt and is never over by their number, but it is spaced by it', () => {
    const verdict = decide(work({ attempt: 40, attemptsCounted: 1 }), failed(ours), policy, moment);
    expect(verdict).toMatchObject({
      result: 'retry',
      settlement: { outcome: 'retry', forgiven: true },
      outcome: { kind: 'retry', delaySeconds: 450 },
    });
    expect(decide(work({ attemptsCounted: 99 }), failed(ours), policy, moment).result).toBe('retry');
  });

  test('after three days it is dead-lettered, and not as permanent', () => {
    const old = work({ ageSeconds: 3 * 86_400 + 1 });
    expect(decide(old, failed(ours), policy, moment)).toMatchObject({
      result: 'dead_letter',
      outcome: { kind: 'dead-letter', class: 'transient' },
    });
    expect(decide(old, failed(ours), policy, { pausedForMs: 5_000 }).result).toBe('retry');
  });

  test('while consumption is paused, what nobody can tell is forgiven as well, and comes back with the next probe', () => {
    expect(
      decide(work({ attemptsCounted: 6 }), failed(unknown), policy, { pausedForMs: 4_200 }),
    ).toMatchObject({
      settlement: { outcome: 'retry', forgiven: true },
      outcome: { kind: 'retry', delaySeconds: 5 },
    });
    expect(decide(work(), failed(permanent), policy, { pausedForMs: 4_200 }).result).toBe('dead_letter');
  });
});

describe('any failure', () => {
  const anyWork = fc.record({
    attemptsCounted: fc.integer({ min: 1, max: 200 }),
    inDoubt: fc.constant(0),
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
            { kind: 'failed', mailed: true, ...failure },
            { ...policy, random: () => jitter },
            moment,
          );
          if (verdict.result === 'retry' && verdict.outcome.kind === 'retry') {
            expect(given.attemptsCounted).toBeLessThanOrEqual(policy.maxRetryCount);
            expect(verdict.outcome.delaySeconds).toBeLessThanOrEqual(policy.capMs / 1_000);
            expect(Number.isInteger(verdict.outcome.delaySeconds)).toBe(true);
          }
          const isQuiet = verdict.result === 'given_up' || verdict.result === 'in_doubt';
          if (verdict.outcome.kind === 'done') expect(isQuiet).toBe(true);
          expect(verdict.result === 'given_up' && given.purpose !== 'reminder').toBe(false);
        },
      ),
    );
  });
});
