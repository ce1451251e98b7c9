import { type Clock, steadyClock } from './clock.ts';
import type { Log, ProcessLike, StopSignal } from './process.ts';

/** What a `main.ts` gets to say what must be stopped, in which order, and by when. */
export interface Lifecycle {
  /** Aborts as soon as a shutdown begins: readiness turns to "no", loops take no more work. */
  readonly signal: AbortSignal;
  /** Settles with the exit code once everything has been stopped. */
  readonly finished: Promise<number>;
  /** The logger exists only after the environment was read, so it and the grace period come later than the lifecycle. */
  configure(options: { log?: Log; graceSeconds?: number }): void;
  /**
   * Registers how to stop what was just started. Stops run one after the other in reverse order, so that what was
   * started last (HTTP, consumers) drains while what it uses (pools, tracers, logs) still works.
   */
  onShutdown(name: string, stop: () => unknown, timeoutMs?: number): void;
  /** Begins the shutdown, once; later calls get the same promise. A stop that fails or hangs turns exit code 0 into 1. */
  shutdown(reason: string, exitCode?: number): Promise<number>;
  /** Logs what nothing handled, with its causes, and shuts down with exit code 1. */
  fail(error: unknown, origin: string): Promise<number>;
}

export interface LifecycleOptions {
  readonly process: ProcessLike;
  readonly log: Log;
  readonly graceSeconds?: number;
  readonly clock?: Clock;
}

interface Stop {
  readonly name: string;
  readonly run: () => unknown;
  readonly timeoutMs: number;
}

interface State extends Required<LifecycleOptions> {
  readonly stops: Stop[];
  readonly aborter: AbortController;
  readonly finish: PromiseWithResolvers<number>;
  begunAt: number | undefined;
  exitCode: number;
  failures: number;
}

const DEFAULT_GRACE_SECONDS = 25;

/** `npm` and a terminal both pass Ctrl-C on to a child: two signals this close are one wish, not impatience. */
const SAME_SIGNAL_MS = 500;

/** After its grace period a process leaves, whatever its stops do: this much later, so that they have the word first. */
const LEAVE_ANYWAY_MS = 1_000;

/** What fails in a row while stopping is one failure told many times: the first lines say it. */
const TOLD_FAILURES = 20;

/** A failure that causes the next one, without a pause in which a timer or a signal could be heard, ends here. */
const MOST_FAILURES = 1_000;

export function createLifecycle(options: LifecycleOptions): Lifecycle {
  const state: State = {
    graceSeconds: DEFAULT_GRACE_SECONDS,
    clock: steadyClock,
    ...options,
    stops: [],
    aborter: new AbortController(),
    finish: Promise.withResolvers<number>(),
    begunAt: undefined,
    exitCode: 0,
    failures: 0,
  };
  listen(state);
  return {
    signal: state.aborter.signal,
    finished: state.finish.promise,
    configure: ({ log = state.log, graceSeconds = state.graceSeconds }) => {
      Object.assign(state, { log, graceSeconds });
    },
    onShutdown: (name, run, timeoutMs = Number.POSITIVE_INFINITY) => {
      const stop = { name, run, timeoutMs };
      // Started while a signal had already come in: it would be in nobody's list any more.
      if (state.begunAt === undefined) state.stops.push(stop);
      else void runStop(state, stop);
    },
    shutdown: (reason, exitCode = 0) => shutdown(state, reason, exitCode),
    fail: (error, origin) => fail(state, error, origin),
  };
}

function listen(state: State): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    state.process.on(signal, () => onSignal(state, signal));
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    state.process.on(event, (error: unknown) => void fail(state, error, event));
  }
}

/**
 * Nothing in here may throw or wait for what may itself have failed: an exception from the handler of exceptions, or a log
 * whose reader is gone, would come back to this very place.
 */
function fail(state: State, error: unknown, origin: string): Promise<number> {
  state.failures += 1;
  if (state.failures > MOST_FAILURES) state.process.exit(1);
  if (state.failures <= TOLD_FAILURES) {
    tell(state, 'error', 'a failure that nothing handled', { event: 'process_failed', origin, error });
  }
  return shutdown(state, origin, 1);
}

/** A log that throws is no reason not to stop. */
function tell(
  state: State,
  level: keyof Log,
  message: string,
  fields: Readonly<Record<string, unknown>>,
): void {
  try {
    state.log[level](message, fields);
  } catch {
    // Where it could be told is what has just failed; the exit code still tells.
    state.exitCode ||= 1;
  }
}

const SIGNAL_EXIT_CODES: Readonly<Record<StopSignal, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

function onSignal(state: State, signal: StopSignal): void {
  if (state.begunAt === undefined) {
    void shutdown(state, signal, 0);
    return;
  }
  if (state.clock().getTime() - state.begunAt < SAME_SIGNAL_MS) return;
  tell(state, 'warn', 'second signal: leaving at once', { event: 'shutdown_aborted', signal });
  state.process.exit(SIGNAL_EXIT_CODES[signal]);
}

function shutdown(state: State, reason: string, exitCode: number): Promise<number> {
  state.exitCode ||= exitCode;
  if (state.begunAt === undefined) {
    state.begunAt = state.clock().getTime();
    // First of all, and cleared by nothing but the end itself.
    const overdueMs = state.graceSeconds * 1_000 + LEAVE_ANYWAY_MS;
    const overdue = setTimeout(() => state.process.exit(state.exitCode || 1), overdueMs);
    tell(state, 'info', 'shutting down', {
      event: 'shutdown_started',
      reason,
      grace_seconds: state.graceSeconds,
    });
    state.aborter.abort(new Error(`shutting down: ${reason}`));
    void stopAll(state, state.begunAt).then(() => clearTimeout(overdue));
  }
  return state.finish.promise;
}

async function stopAll(state: State, begunAt: number): Promise<void> {
  const deadline = begunAt + state.graceSeconds * 1_000;
  for (let stop = state.stops.pop(); stop !== undefined; stop = state.stops.pop()) {
    await runStop(state, stop, deadline);
  }
  const duration_ms = state.clock().getTime() - begunAt;
  tell(state, 'info', 'shut down', {
    event: 'shutdown_finished',
    exit_code: state.exitCode,
    duration_ms,
  });
  state.finish.resolve(state.exitCode);
  state.process.exit(state.exitCode);
}

/** Out of time, a stop is still called: one that needs no waiting (closing a socket) gets its turn nevertheless. */
async function runStop(state: State, stop: Stop, deadline = Number.POSITIVE_INFINITY): Promise<void> {
  const problem = (message: string, fields: Readonly<Record<string, unknown>>) => {
    state.exitCode ||= 1;
    tell(state, 'error', message, { event: 'shutdown_step_failed', step: stop.name, ...fields });
  };
  const graceMs = state.graceSeconds * 1_000;
  const timeoutMs = Math.max(0, Math.min(stop.timeoutMs, deadline - state.clock().getTime(), graceMs));
  const { promise: late, resolve: giveUp } = Promise.withResolvers<boolean>();
  const timer = setTimeout(giveUp, timeoutMs, false);
  try {
    const stopped = Promise.resolve(stop.run()).then(() => true);
    const inTime = await Promise.race([stopped, late]);
    if (!inTime) problem('a part did not stop in time', { timeout_ms: timeoutMs });
  } catch (error) {
    problem('a part failed to stop', { error });
  } finally {
    clearTimeout(timer);
  }
}
