import type { HandledEvent } from './queue-observer.ts';

/** Since the start; one count per way in which a handling can end, and what surrounds them. */
export interface HandlingCounts extends Record<HandledEvent['outcome'], number> {
  settleErrors: number;
}

export interface ConsumerStats extends Readonly<HandlingCounts> {
  readonly received: number;
  readonly receives: number;
  readonly emptyReceives: number;
  readonly receiveErrors: number;
  /** Handlers at work. */
  readonly inFlight: number;
  /** Received ahead of room, not started. */
  readonly waiting: number;
  /** Handled, and not yet confirmed by SQS. */
  readonly settling: number;
  /** Handlers that ignored their abort signal and still have not settled; their slots were taken back. */
  readonly wedged: number;
  readonly openReceives: number;
  /** The queue says it has messages and gives none. */
  readonly starved: boolean;
}

export function emptyHandlingCounts(): HandlingCounts {
  return {
    done: 0,
    retry: 0,
    'dead-letter': 0,
    'timed-out': 0,
    'lease-lost': 0,
    released: 0,
    settleErrors: 0,
  };
}
