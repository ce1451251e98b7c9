import { setTimeout as wait } from 'node:timers/promises';
import { type RoleProcess, startRole } from '../support/role-process.ts';

/** Runs of the reconciler, one after the other, as its CronJob makes them. */
export type Reconciling = {
  /** the run that is under way, if one is */
  process: () => RoleProcess | undefined;
  runs: () => number;
  /** Lets the current run end; no other begins. */
  end: () => Promise<void>;
};

const pauseMs = 3_000;

export function reconcileAgainAndAgain(env: Record<string, string>): Reconciling {
  let current: RoleProcess | undefined;
  let runs = 0;
  const stop = new AbortController();
  const done = (async () => {
    while (!stop.signal.aborted) {
      await wait(pauseMs, undefined, { signal: stop.signal }).catch(() => undefined);
      if (stop.signal.aborted) return;
      runs += 1;
      current = startRole('reconciler', [], env, { keepLines: 200 });
      await current.ended;
      current = undefined;
    }
  })();
  return {
    process: () => current,
    runs: () => runs,
    end: async () => {
      stop.abort();
      current?.thaw();
      await done;
    },
  };
}
