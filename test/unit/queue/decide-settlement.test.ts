import { describe, expect, test } from '@jest/globals';
import { decideSettlement } from '../../../services/queue/decide-settlement.ts';
import type { AbortCause, Ending } from '../../../services/queue/handling.ts';
import type { Outcome } from '../../../services/queue/message.ts';
import { toQueueMessage } from '../../../services/queue/message.ts';

const message = toQueueMessage(
  { MessageId: 'm', ReceiptHandle: 'r', Attributes: { ApproximateReceiveCount: '3' } },
  0,
);
const half = () => 0.5;
const decide = (ending: Ending) => decideSettlement(ending, message, half);
const done: Outcome = { kind: 'done' };
const returned = (outcome: Outcome, abortedBy?: AbortCause): Ending => ({
  kind: 'returned',
  outcome,
  abortedBy,
});
const threw = (abortedBy?: AbortCause): Ending => ({ kind: 'threw', error: new TypeError('x'), abortedBy });

describe('decideSettlement', () => {
  test('an outcome is carried out as it says', () => {
    expect(decide(returned(done))).toEqual({ settlement: { kind: 'delete' }, outcome: 'done' });
    expect(decide(returned({ kind: 'retry', delaySeconds: 7, reason: 'smtp_busy' }))).toEqual({
      settlement: { kind: 'retry', delaySeconds: 7 },
      outcome: 'retry',
      reason: 'smtp_busy',
    });
    const deadLetter: Outcome = { kind: 'dead-letter', class: 'permanent', reason: 'hard_bounce' };
    expect(decide(returned(deadLetter))).toEqual({
      settlement: deadLetter,
      outcome: 'dead-letter',
      reason: 'hard_bounce',
    });
  });

  test('a handler that throws is a retry with backoff on the receive count', () => {
    // Receive count 3: uniform below 16 s.
    expect(decide(threw())).toEqual({
      settlement: { kind: 'retry', delaySeconds: 8 },
      outcome: 'retry',
      reason: 'TypeError',
    });
  });

  test('P10: after a lost lease nothing is settled, whatever the handler says', () => {
    const endings: Ending[] = [
      returned(done, 'lease-lost'),
      threw('lease-lost'),
      { kind: 'reclaimed', abortedBy: 'lease-lost' },
    ];
    for (const ending of endings) {
      expect(decide(ending)).toEqual({ settlement: { kind: 'none' }, outcome: 'lease-lost' });
    }
  });

  test('P7: what a shutdown interrupts is released and is no failure; what still finished counts', () => {
    for (const ending of [threw('shutdown'), { kind: 'reclaimed', abortedBy: 'shutdown' } as const]) {
      expect(decide(ending)).toMatchObject({ settlement: { kind: 'release' }, outcome: 'released' });
    }
    expect(decide(returned(done, 'shutdown'))).toMatchObject({ settlement: { kind: 'delete' } });
  });

  test('P2: a handler past its deadline is retried with backoff, unless it still decided for itself', () => {
    for (const ending of [threw('timed-out'), { kind: 'reclaimed', abortedBy: 'timed-out' } as const]) {
      expect(decide(ending)).toMatchObject({
        settlement: { kind: 'retry', delaySeconds: 8 },
        outcome: 'timed-out',
      });
    }
    expect(decide(returned(done, 'timed-out'))).toMatchObject({
      settlement: { kind: 'delete' },
      outcome: 'done',
    });
  });

  test('a handler that returns nonsense is a retry, never a delete', () => {
    for (const nonsense of [undefined, null, true, {}, { kind: 'ok' }]) {
      const decision = decide(returned(nonsense as unknown as Outcome));
      expect(decision).toMatchObject({ settlement: { kind: 'retry' }, outcome: 'retry' });
    }
  });

  test.each([
    [1.2, 2],
    [-5, 0],
    [Number.NaN, 0],
    [Number.POSITIVE_INFINITY, 0],
    [50_000, 39_600],
  ])('a delay of %p s becomes %p s, which SQS accepts', (given, sent) => {
    const decision = decide(returned({ kind: 'retry', delaySeconds: given, reason: 'x' }));
    expect(decision.settlement).toEqual({ kind: 'retry', delaySeconds: sent });
  });
});
