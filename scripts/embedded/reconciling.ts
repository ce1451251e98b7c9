import type { Environment } from './environment.ts';
import type { Progress } from './progress.ts';
import type { OneShots } from './run-once.ts';

const EVERY_MS = 60_000;

/** What each exit code of the reconciler asks of a person; 0 asks nothing. */
const MEANINGS: Record<number, string> = {
  1: 'The reconciler could not finish and tries again in a minute.',
  2: 'The reconciler needs a person: look at GET /v1/dead-letters, or run npm run reconcile -- --dry-run',
};

/** Stands in for the CronJob: the run-once program every minute, never two at a time. Returns how to stop it. */
export function reconcileEveryMinute(
  oneShots: OneShots,
  environment: Environment,
  progress: Progress,
): () => void {
  let isRunning = false;
  const run = async () => {
    if (isRunning) return;
    isRunning = true;
    try {
      const log = (line: string) => progress.log('reconciler', line);
      const { code } = await oneShots.run(['services/reconciler/main.ts'], environment, log);
      const meaning = MEANINGS[code];
      if (meaning !== undefined) progress.warn(meaning);
    } catch (error) {
      progress.warn(`The reconciler could not be started: ${error}`);
    } finally {
      isRunning = false;
    }
  };
  const timer = setInterval(() => void run(), EVERY_MS);
  return () => clearInterval(timer);
}
