import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Environment } from './environment.ts';
import { signalGroup } from './processes.ts';

export interface Finished {
  code: number;
  /** Its standard output. */
  output: string;
  /** Everything that it printed, in order. */
  lines: string[];
}

/** Programs that run to their end: migrations, key makers, the reconciler. Ended together when the system stops. */
export class OneShots {
  readonly #running = new Map<ChildProcess, Promise<Finished>>();

  /** Resolves with the exit code, whatever it is. */
  run(
    args: string[],
    environment: Environment,
    onLine: (line: string) => void = () => undefined,
  ): Promise<Finished> {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
      env: { ...process.env, ...environment },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const finished = collect(child, onLine).finally(() => this.#running.delete(child));
    this.#running.set(child, finished);
    return finished;
  }

  /** As `run`, but anything other than exit code 0 is an error that shows what the program said. */
  async demand(args: string[], environment: Environment): Promise<string> {
    const { code, output, lines } = await this.run(args, environment);
    if (code === 0) return output;
    // The frames of a stack would push its message out of what is shown.
    // Its own one sentence, that names what to change: that it came from a program of ours helps nobody.
    const [sentence] = lines.flatMap((line) => /^largesse \w+: (.*)$/.exec(line)?.[1] ?? []);
    if (sentence !== undefined && !lines.some((line) => /^\s+at /.test(line))) throw new Error(sentence);
    const said = lines.filter((line) => !/^\s+at /.test(line)).slice(-20);
    throw new Error(
      `node ${args.join(' ')} ended with exit code ${code}:\n${said.join('\n')}${hintFor(said)}`,
    );
  }

  async stop(timeoutMs: number): Promise<void> {
    const left = [...this.#running];
    for (const [child] of left) child.kill('SIGTERM');
    const timer = setTimeout(() => this.kill(), timeoutMs);
    await Promise.all(left.map(([, finished]) => finished));
    clearTimeout(timer);
  }

  kill(): void {
    for (const child of this.#running.keys()) if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
  }
}

function collect(child: ReturnType<typeof spawn>, onLine: (line: string) => void): Promise<Finished> {
  const lines: string[] = [];
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (stream === child.stdout) output.push(line);
      onLine(line);
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, output: output.join('\n'), lines }));
  });
}

function hintFor(lines: string[]): string {
  if (!lines.some((line) => line.includes('CredentialsProviderError'))) return '';
  return '\n\nQueues of your own need AWS credentials. An emulator takes any: AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x';
}
