export type ConsumerState = 'new' | 'running' | 'stopping' | 'stopped';

export interface QueueHealth {
  /** For liveness: false means that only a restart will help. A queue that cannot be reached is not such a case. */
  readonly ok: boolean;
  readonly reason?: string;
  readonly state: ConsumerState;
  /** For readiness: the latest receive was answered. */
  readonly reachable: boolean;
  readonly inFlight: number;
  /** Handlers that ignored their abort signal and still have not settled. */
  readonly wedged: number;
  readonly msSinceReceive: number;
  readonly msSinceProgress: number;
}

export interface HealthInput {
  readonly state: ConsumerState;
  readonly reachable: boolean;
  readonly inFlight: number;
  readonly wedged: number;
  readonly maxInFlight: number;
  /** Handlers that wait to record what can't be undone: a restart would do it again. */
  readonly outlasting: number;
  readonly nowMs: number;
  /** When a receive last ended, well or not. */
  readonly receiveEndedAtMs: number;
  /** When a handling last ended. */
  readonly handlingEndedAtMs: number;
  /** Longest time in which a sound consumer must have ended a receive or a handling; see `stallLimitMs`. */
  readonly stallLimitMs: number;
}

/** "Progress or idle", from timestamps alone: nothing here waits for anything that could hang. */
export function judgeHealth(input: HealthInput): QueueHealth {
  const progressAtMs = Math.max(input.receiveEndedAtMs, input.handlingEndedAtMs);
  const facts = {
    state: input.state,
    reachable: input.reachable,
    inFlight: input.inFlight,
    wedged: input.wedged,
    msSinceReceive: Math.max(0, input.nowMs - input.receiveEndedAtMs),
    msSinceProgress: Math.max(0, input.nowMs - progressAtMs),
  };
  const reason = input.state === 'running' ? findReason(input, facts.msSinceProgress) : undefined;
  return reason === undefined ? { ok: true, ...facts } : { ok: false, reason, ...facts };
}

/**
 * With room in the window a receive ends within its wait + 5 s, after a pause of at most 30 s; without room a handling ends within
 * its time-out + grace. Beyond the longer of the two, and 10 s for a busy machine, the loop is stuck.
 */
export function stallLimitMs(
  waitTimeSeconds: number,
  handlerTimeoutMs: number,
  abortGraceMs: number,
): number {
  return Math.max(waitTimeSeconds * 1_000 + 35_000, handlerTimeoutMs + abortGraceMs) + 10_000;
}

function findReason(input: HealthInput, msSinceProgress: number): string | undefined {
  if (input.wedged >= input.maxInFlight) return `${input.wedged} handlers never settled after their abort`;
  if (input.outlasting === 0 && msSinceProgress > input.stallLimitMs)
    return `neither receive nor handler ended for ${msSinceProgress} ms`;
  return undefined;
}
