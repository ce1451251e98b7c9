import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { eventually } from '../../support/eventually.ts';

export type RoleProcess = {
  /** Everything that it logged, parsed. */
  lines: () => Record<string, unknown>[];
  /** Everything that it printed, on both streams. */
  output: () => string;
  /** Waits for a log line with this event. */
  logged: (event: string) => Promise<Record<string, unknown>>;
  /** SIGKILL: no handler runs, nothing is flushed. */
  kill: () => Promise<void>;
  /** SIGTERM. @returns the exit code */
  stop: () => Promise<number | null>;
  /** the exit code, when it ends by itself; null after a signal */
  ended: Promise<number | null>;
};

const running = new Set<ChildProcess>();

/** Runs a role as a cluster does: `node services/<role>/main.ts …`, with its environment and nothing else of ours. */
export function startRole(role: string, args: string[], env: Record<string, string>): RoleProcess {
  const child = spawn(process.execPath, [`services/${role}/main.ts`, ...args], {
    cwd: new URL('../../..', import.meta.url).pathname,
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
    createInterface({ input: stream }).on('line', (line) => printed.push(line));
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
    kill: async () => {
      await end('SIGKILL');
    },
    stop: () => end('SIGTERM'),
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
