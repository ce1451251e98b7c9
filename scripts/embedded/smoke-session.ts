import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';

/** An `npm start` in a clone, driven like a person would: by what it prints. */
export interface Session {
  /** Runs the first printed curl command that contains `part`, in a shell, as pasted; resolves with its output. */
  paste(part: string): Promise<string>;
  /** The claim link of the newest mail, once there is one; undefined when none comes in time. */
  claimLinkFromMail(): Promise<string | undefined>;
  runNpm(...args: string[]): Promise<string>;
  /** Ctrl-C: SIGINT to npm and all below it, as a terminal does. Resolves with npm's exit code. */
  interrupt(): Promise<number | null>;
  kill(): void;
}

const READY = 'Largesse is running.';
const LAST_LINE = 'Ctrl-C stops all of it';
/** A slow line fetches some hundred MB of packages the first time. */
const START_TIMEOUT_MS = 10 * 60_000;
const MAIL_TIMEOUT_MS = 30_000;

export async function startSession(clone: string): Promise<Session> {
  // As a new clone's shell has it: nothing of the npm script that runs us, and no binaries of this clone.
  const env = outerEnvironment();
  const npm = spawn('npm', ['start'], { cwd: clone, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const printed = await untilReady(npm);
  const place = (name: string) => new RegExp(`${name}\\s+(\\S+)`).exec(printed)?.[1] ?? '';
  return {
    paste: async (part) => {
      const { stdout } = await promisify(execFile)('sh', ['-c', commandWith(printed, part)], { env });
      return stdout;
    },
    claimLinkFromMail: () => claimLink(place('Mail catcher')),
    runNpm: async (...args) => (await promisify(execFile)('npm', args, { cwd: clone, env })).stdout,
    interrupt: async () => {
      const ended = once(npm, 'exit');
      signalGroup(npm, 'SIGINT');
      return (await ended)[0] as number | null;
    },
    kill: () => signalGroup(npm, 'SIGTERM'),
  };
}

async function untilReady(npm: ChildProcess): Promise<string> {
  let printed = '';
  for (const [stream, out] of [
    [npm.stdout, process.stdout],
    [npm.stderr, process.stderr],
  ] as const) {
    stream?.on('data', (chunk) => {
      printed += chunk;
      out.write(String(chunk).replace(/^(?=.)/gm, '    '));
    });
  }
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!(printed.includes(READY) && printed.includes(LAST_LINE))) {
    if (npm.exitCode !== null) throw new Error(`npm start ended with exit code ${npm.exitCode}`);
    if (performance.now() > deadline) throw new Error('npm start was not ready in ten minutes');
    await wait(100);
  }
  return printed.slice(printed.indexOf(READY));
}

/** A printed command begins with curl and goes on while lines end in a backslash. */
export function commandWith(printed: string, part: string): string {
  const commands = printed.match(/^ *curl .*(?:(?<=\\)\n.*)*/gm) ?? [];
  const command = commands.find((candidate) => candidate.includes(part));
  if (command === undefined) throw new Error(`no printed command contains ${part}`);
  return command.trim();
}

async function claimLink(mailCatcher: string): Promise<string | undefined> {
  const deadline = performance.now() + MAIL_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const response = await fetch(`${mailCatcher}/email`);
    const mails = (await response.json()) as { text?: string; html?: string }[];
    const newest = mails.at(-1);
    const link = /https?:\/\/[^\s"'<>]+\/claim\/[^\s"'<>]+/.exec(
      `${newest?.text ?? ''} ${newest?.html ?? ''}`,
    )?.[0];
    if (link !== undefined) return link;
    await wait(100);
  }
  return undefined;
}

function signalGroup(npm: ChildProcess, signal: NodeJS.Signals): void {
  if (npm.pid === undefined || npm.exitCode !== null || npm.signalCode !== null) return;
  process.kill(-npm.pid, signal);
}

function outerEnvironment(): NodeJS.ProcessEnv {
  const path = (process.env['PATH'] ?? '').split(':').filter((folder) => !folder.includes('node_modules'));
  const kept = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS$|INIT_CWD$)/.test(name));
  return { ...Object.fromEntries(kept), PATH: path.join(':') };
}
