import type { QueueMessage } from './message.ts';

export interface HandledEvent {
  readonly message: QueueMessage;
  /** What became of the handling; `lease-lost` and `released` leave the message to whoever receives it next. */
  readonly outcome: 'done' | 'retry' | 'dead-letter' | 'timed-out' | 'lease-lost' | 'released';
  /** Why, where there is a why: the handler's reason, or the name of what it threw. */
  readonly reason?: string;
  /** What the handler threw, for the log. */
  readonly error?: unknown;
  readonly retryDelaySeconds?: number;
  readonly durationMs: number;
  /** Since it was first sent. */
  readonly ageMs: number;
  readonly receiveCount: number;
}

export type SettleAction = 'delete' | 'change-visibility' | 'dead-letter';

/** Everything that the runtime has to tell. A callback that throws becomes a process warning and changes nothing else. */
export interface QueueObserver {
  readonly received?: (event: {
    messages: readonly QueueMessage[];
    asked: number;
    durationMs: number;
  }) => void;
  readonly handled?: (event: HandledEvent) => void;
  /** `error` undefined: SQS confirmed this very entry while our lease was valid. */
  readonly settled?: (event: { message: QueueMessage; action: SettleAction; error?: unknown }) => void;
  readonly leaseLost?: (event: { message: QueueMessage; reason: string }) => void;
  /** An extension failed and will be tried again while the lease lasts. */
  readonly leaseError?: (event: { message: QueueMessage; code: string; error: unknown }) => void;
  /** At the handler's deadline, when its signal is aborted; `handled` follows. */
  readonly timedOut?: (event: { message: QueueMessage; handlerTimeoutMs: number }) => void;
  /** Receives stay empty while the queue says it has messages: at 120,000 in flight SQS goes silent like this. */
  readonly starved?: (event: { visible: number; inFlight: number; emptyReceives: number }) => void;
  /** Whether empty receives wait as they are told to; once at the beginning and at each change. Those that do not are paced. */
  readonly longPolling?: (event: { honoured: boolean }) => void;
  readonly loopError?: (event: { error: unknown; consecutiveFailures: number; pauseMs: number }) => void;
}

type Callback<E> = ((event: E) => void) | undefined;

/** A broken metric must not cost a message. */
export function tell<E>(callback: Callback<E>, event: E): void {
  try {
    callback?.(event);
  } catch (error) {
    const detail = error instanceof Error && error.stack !== undefined ? { detail: error.stack } : {};
    process.emitWarning(String(error), { type: 'QueueObserverWarning', ...detail });
  }
}
