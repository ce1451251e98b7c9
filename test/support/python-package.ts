import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const CACHE = join(import.meta.dirname, '../../node_modules/.cache');
const run = promisify(execFile);

/** True where Python and pip can make an environment of their own. Quick: asks for versions only. */
export async function pythonAvailable(): Promise<boolean> {
  return run('python3', ['-c', 'import venv, ensurepip']).then(
    () => true,
    () => false,
  );
}

/** A folder of programs of these packages, all versions pinned. The first use on a machine fetches them, a minute or two. */
export async function pythonPrograms(name: string, packages: readonly string[]): Promise<string> {
  const folder = join(CACHE, name);
  const programs = join(folder, 'bin');
  if (existsSync(join(folder, 'complete'))) return programs;
  process.stderr.write(`Fetching ${name} with pip (first use only) …\n`);
  await rm(folder, { recursive: true, force: true });
  await run('python3', ['-m', 'venv', folder]);
  await run(join(programs, 'python'), ['-m', 'pip', 'install', '--quiet', ...packages], {
    maxBuffer: 64 * 1_024 * 1_024,
  });
  // Written last: an install that was cut short must not be taken for one.
  await writeFile(join(folder, 'complete'), packages.join('\n'));
  return programs;
}

export interface ServerProcess {
  stop(): Promise<void>;
}

/** Starts a program and resolves when a line that it prints matches. */
export async function startServerProcess(
  program: string,
  args: readonly string[],
  {
    env = {},
    ready,
    timeoutMs = 90_000,
  }: { env?: Record<string, string>; ready: RegExp; timeoutMs?: number },
): Promise<ServerProcess & { match: RegExpExecArray }> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const killOrphan = () => child.kill('SIGKILL');
  process.once('exit', killOrphan);
  child.once('exit', () => process.removeListener('exit', killOrphan));
  const seen: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
  const fail = (why: string) => {
    child.kill('SIGKILL');
    reject(new Error(`${program} ${why}:\n${seen.join('\n')}`));
  };
  const timer = setTimeout(() => fail('was not ready in time'), timeoutMs);
  child.once('exit', (code) => fail(`exited with ${code}`));
  child.once('error', (error) => fail(`could not be started: ${error.message}`));
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      if (seen.push(line) > 50) seen.shift();
      const match = ready.exec(line);
      if (match !== null) resolve(match);
    });
  }
  const match = await promise.finally(() => clearTimeout(timer));
  return { match, stop: () => stopProcess(child) };
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
}
