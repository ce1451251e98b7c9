import { fullJitterMs } from './backoff.ts';
import type { Ending } from './handling.ts';
import type { Outcome, QueueMessage } from './message.ts';
import type { HandledEvent } from './queue-observer.ts';

export type Settlement =
  | { readonly kind: 'delete' }
  | { readonly kind: 'retry'; readonly delaySeconds: number }
  | { readonly kind: 'release' }
  | { readonly kind: 'dead-letter'; readonly class: string; readonly reason: string }
  /** The message is no longer ours. */
  | { readonly kind: 'none' };

export interface Decision {
  readonly settlement: Settlement;
  readonly outcome: HandledEvent['outcome'];
  readonly reason?: string;
}

/**
 * What to do with a message whose handling has ended:
 *
 * | aborted by | returned an outcome | threw                | never settled        |
 * |------------|---------------------|----------------------|----------------------|
 * | nothing    | as it says          | retry with backoff   | cannot be            |
 * | timed-out  | as it says          | retry with backoff   | retry with backoff   |
 * | shutdown   | as it says          | release, no failure  | release, no failure  |
 * | lease-lost | nothing             | nothing              | nothing              |
 */
export function decideSettlement(ending: Ending, message: QueueMessage, random: () => number): Decision {
  if (ending.abortedBy === 'lease-lost') return { settlement: { kind: 'none' }, outcome: 'lease-lost' };
  if (ending.kind === 'returned') return followOutcome(ending.outcome, message, random);
  if (ending.abortedBy === 'shutdown')
    return { settlement: { kind: 'release' }, outcome: 'released', reason: 'shutdown' };
  const settlement = backOff(message, random);
  if (ending.abortedBy === 'timed-out')
    return { settlement, outcome: 'timed-out', reason: 'handler deadline' };
  const reason =
    ending.kind === 'threw' && ending.error instanceof Error ? ending.error.name : 'handler threw';
  return { settlement, outcome: 'retry', reason };
}

function followOutcome(outcome: Outcome, message: QueueMessage, random: () => number): Decision {
  switch (outcome?.kind) {
    case 'done':
      return { settlement: { kind: 'delete' }, outcome: 'done' };
    case 'retry':
      return {
        settlement: { kind: 'retry', delaySeconds: wholeSeconds(outcome.delaySeconds) },
        outcome: 'retry',
        reason: outcome.reason,
      };
    case 'dead-letter':
      return { settlement: outcome, outcome: 'dead-letter', reason: outcome.reason };
    default:
      // Untyped callers can return anything; deleting on a guess could lose a message.
      outcome satisfies undefined;
      return {
        settlement: backOff(message, random),
        outcome: 'retry',
        reason: 'handler returned no outcome',
      };
  }
}

/** Grows with SQS's receive count, because at this level there is no better counter. */
function backOff(message: QueueMessage, random: () => number): Settlement {
  const delayMs = fullJitterMs({ attempt: Math.max(1, message.receiveCount), random });
  return { kind: 'retry', delaySeconds: Math.ceil(delayMs / 1_000) };
}

/** SQS refuses fractions, and more than 12 h counted from the receive; an hour is kept for the time already spent. */
function wholeSeconds(seconds: number): number {
  if (!Number.isFinite(seconds)) return 0;
  return Math.min(11 * 3_600, Math.max(0, Math.ceil(seconds)));
}
