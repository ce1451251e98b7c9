import { setTimeout as wait } from 'node:timers/promises';
import { type RoleProcess, startRole } from '../support/role-process.ts';

/** A role that is started again whenever it ends, as a cluster does. */
export type KeptRole = {
  name: string;
  /** what it is at this moment */
  process: () => RoleProcess;
  /** when it has last logged that it serves; undefined while it starts */
  facts: () => Record<string, unknown> | undefined;
  /** Ends it for good, by SIGTERM. @returns the exit code */
  end: () => Promise<number | null>;
  /** how often it was started anew */
  restarts: () => number;
};

export function keepRole(
  name: string,
  start: { role: string; args: string[]; env: Record<string, string>; ready: string },
): KeptRole {
  let facts: Record<string, unknown> | undefined;
  let restarts = 0;
  let ending = false;
  let current = launch();

  function launch(): RoleProcess {
    const launched = startRole(start.role, start.args, start.env, {
      onLine: (line) => {
        if (line['event'] === start.ready && launched === current) facts = line;
      },
      keepLines: 200,
    });
    void launched.ended.then(async () => {
      facts = undefined;
      if (ending) return;
      await wait(100);
      if (ending) return;
      restarts += 1;
      current = launch();
    });
    return launched;
  }

  return {
    name,
    process: () => current,
    facts: () => facts,
    restarts: () => restarts,
    end: async () => {
      ending = true;
      current.thaw();
      return await current.stop();
    },
  };
}
