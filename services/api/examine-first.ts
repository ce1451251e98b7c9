import { KeyringMismatch } from '../domain/recipients/known-keys.ts';
import type { Logger } from '../observability/logger.ts';
import { loopPauseMs } from '../queue/backoff.ts';
import { pause } from '../queue/pause.ts';
import { EnvironmentError } from '../runtime/env.ts';
import type { Lifecycle } from '../runtime/lifecycle.ts';

/** A database that is late must not keep the process from being alive. */
const patienceMs = 2_000;

type Deps = { logger: Logger; lifecycle: Lifecycle; random: () => number };

/**
 * Asks before anything is served, and goes on asking for as long as the database is not there: whoever looks at readiness
 * may come late or never.
 *
 * @throws EnvironmentError when the keyring does not belong to the database
 */
export async function examineFirst(ready: () => Promise<void>, deps: Deps): Promise<void> {
  const first = ready().then(() => true, failed);
  const done = await Promise.race([first, pause(patienceMs, deps.lifecycle.signal).then(() => false)]);
  if (!done) void goOn(first, ready, deps);
}

async function goOn(
  first: Promise<boolean>,
  ready: () => Promise<void>,
  { logger, lifecycle, random }: Deps,
): Promise<void> {
  try {
    let done = await first;
    for (let failures = 1; !done && !lifecycle.signal.aborted; failures += 1) {
      await pause(loopPauseMs(failures, random), lifecycle.signal);
      done = await ready().then(() => true, failed);
    }
  } catch (error) {
    logger.error('the environment does not fit the database', { event: 'keyring_unfit', error });
    await lifecycle.shutdown('environment', 2);
  }
}

/** That there is no database yet, or none that is ours, is what readiness tells. */
function failed(error: unknown): false {
  if (!(error instanceof KeyringMismatch)) return false;
  throw new EnvironmentError([{ variable: 'KEYRING_FILE', problem: error.message, remedy: undefined }]);
}
