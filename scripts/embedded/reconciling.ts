import type { Environment } from './environment.ts';
import type { Progress } from './progress.ts';
import type { Finished, OneShots } from './run-once.ts';

const EVERY_MS = 60_000;

/** What each exit code of the reconciler asks of a person; 0 asks nothing. */
const MEANINGS: Record<number, string> = {
  1: 'The reconciler could not finish and tries again in a minute.',
  2: 'The reconciler needs a person: look at GET /v1/dead-letters, or run npm run reconcile -- --dry-run',
};

/** The run's table says it all: its log repeats the same for machines. */
export const RECONCILER_LOG_LEVEL = 'warn';

export interface Reconciling {
  stop(): void;
  /** From now on no run begins: what is dead-lettered stays where a person can look at it. Waits for one that runs. */
  pause(): Promise<void>;
  /** Runs again, at once and then every minute. */
  resume(): void;
}

/** Stands in for the CronJob: the run-once program every minute, never two at a time. */
export function reconcileEveryMinute(
  oneShots: OneShots,
  environment: Environment,
  progress: Progress,
): Reconciling {
  let isRunning = false;
  let isPaused = false;
  let current: Promise<void> = Promise.resolve();
  const run = async () => {
    if (isRunning || isPaused) return;
    isRunning = true;
    try {
      const finished = await oneShots.run(['services/reconciler/main.ts'], environment);
      if (!isUneventful(finished)) for (const line of finished.lines) progress.log('reconciler', line);
      const meaning = MEANINGS[finished.code];
      if (meaning !== undefined) progress.warn(meaning);
    } catch (error) {
      progress.warn(`The reconciler could not be started: ${error}`);
    } finally {
      isRunning = false;
    }
  };
  const begin = () => {
    if (!isRunning) current = run();
  };
  const timer = setInterval(begin, EVERY_MS);
  return {
    stop: () => clearInterval(timer),
    pause: () => {
      isPaused = true;
      return current;
    },
    resume: () => {
      isPaused = false;
      begin();
    },
  };
}

/** A minute in which nothing was found or mended is not worth five lines of the terminal. */
export function isUneventful({ code, lines }: Finished): boolean {
  const isEmpty = lines.includes('No dead letters.');
  return code === 0 && isEmpty && !lines.some((line) => /WARN|ERROR|requeued|archived|stuck/.test(line));
}
