import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { eventually } from './eventually.ts';

export type RoleProcess = {
  /** Everything that it logged, parsed. */
  lines: () => Record<string, unknown>[];
  /** Everything that it printed, on both streams. */
  output: () => string;
  /** Waits for a log line with this event. */
  logged: (event: string) => Promise<Record<string, unknown>>;
  /** Whoever read what it prints goes away: from now on every write of it fails with EPIPE. */
  stopReading: () => void;
  /** SIGKILL: no handler runs, nothing is flushed. */
  kill: () => Promise<void>;
  /** SIGTERM. @returns the exit code */
  stop: () => Promise<number | null>;
  /** SIGSTOP: its connections stay open and nothing answers on them, until `thaw()`. */
  freeze: () => void;
  thaw: () => void;
  /** the exit code, when it ends by itself; null after a signal */
  ended: Promise<number | null>;
};

const running = new Set<ChildProcess>();

/** Runs a role as a cluster does: `node services/<role>/main.ts …`, with its environment and nothing else of ours. */
export function startRole(
  role: string,
  args: string[],
  env: Record<string, string>,
  /** told of each log line; how many lines are kept at least (all of them, where left out) */
  watch: { onLine?: (line: Record<string, unknown>) => void; keepLines?: number } = {},
  /** whose sources: those of this release, where left out */
  folder = new URL('../..', import.meta.url).pathname,
): RoleProcess {
  const child = spawn(process.execPath, [`services/${role}/main.ts`, ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      resolve(code);
    });
  });
  const printed: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      printed.push(line);
      if (printed.length > 2 * (watch.keepLines ?? Number.POSITIVE_INFINITY))
        printed.splice(0, watch.keepLines);
      if (watch.onLine && line.startsWith('{')) watch.onLine(parse(line));
    });
  }
  const lines = () => printed.filter((line) => line.startsWith('{')).map(parse);
  const end = (signal: NodeJS.Signals) => {
    child.kill(signal);
    return ended;
  };
  return {
    lines,
    output: () => printed.join('\n'),
    logged: (event) =>
      eventually(
        () => {
          const found = lines().find((line) => line['event'] === event);
          if (found === undefined) throw new Error(`${role} has not logged ${event}:\n${printed.join('\n')}`);
          return found;
        },
        { timeoutMs: 20_000 },
      ),
    stopReading: () => {
      child.stdout.destroy();
      child.stderr.destroy();
    },
    kill: async () => {
      await end('SIGKILL');
    },
    stop: () => end('SIGTERM'),
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    ended,
  };
}

/** What a test that failed half of the way has left running. */
export async function killRoles(): Promise<void> {
  await Promise.all(
    [...running].map((child) => {
      const closed = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGKILL');
      return closed;
    }),
  );
}

function parse(line: string): Record<string, unknown> {
  return JSON.parse(line) as Record<string, unknown>;
}
