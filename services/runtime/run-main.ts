import { inspect } from 'node:util';
import { EnvironmentError } from './env.ts';
import { createLifecycle, type Lifecycle } from './lifecycle.ts';
import type { Log, ProcessLike } from './process.ts';

export interface RunMainOptions {
  readonly process?: ProcessLike;
  readonly stderr?: { write(text: string): unknown };
  /** What this process prints to. */
  readonly streams?: readonly { on(event: 'error', listener: () => void): unknown }[];
}

/**
 * Runs the `main` of a role. A number that it returns is the exit code, after everything registered has been stopped;
 * `undefined` means that it serves until a signal comes.
 *
 * Exit codes: 0 stopped as asked, 1 failed (or did not stop in time), 2 the environment doesn't fit,
 * 129/130/143 a second signal cut the shutdown short.
 */
export async function runMain(
  name: string,
  main: (lifecycle: Lifecycle) => Promise<number | undefined>,
  options: RunMainOptions = {},
): Promise<void> {
  const { process: host = process, stderr = process.stderr } = options;
  // Whoever reads them may go away (`| head`, a log agent, a killed parent): unheard, each line would be a failure.
  for (const stream of options.streams ?? [process.stdout, process.stderr])
    stream.on('error', () => undefined);
  const lifecycle = createLifecycle({ process: host, log: stderrLog(name, stderr) });
  try {
    const exitCode = await main(lifecycle);
    if (exitCode !== undefined) await lifecycle.shutdown('finished', exitCode);
  } catch (error) {
    await conclude(name, error, lifecycle, stderr);
  }
}

async function conclude(
  name: string,
  error: unknown,
  lifecycle: Lifecycle,
  stderr: { write(text: string): unknown },
): Promise<void> {
  // What a start-up was waiting for was closed beneath it by the shutdown: not a failure of its own.
  if (lifecycle.signal.aborted) {
    await lifecycle.finished;
    return;
  }
  if (error instanceof EnvironmentError) {
    stderr.write(`largesse ${name} can't start. ${error.message}\n`);
    await lifecycle.shutdown('environment', 2);
    return;
  }
  await lifecycle.fail(error, 'main');
}

/** For the moments before the environment was read and a logger exists: failures only. */
function stderrLog(name: string, stderr: { write(text: string): unknown }): Log {
  const write = (message: string, fields: Readonly<Record<string, unknown>> = {}) => {
    const { error, ...rest } = fields;
    stderr.write(
      `largesse ${name}: ${message} ${inspect(rest, { breakLength: Number.POSITIVE_INFINITY })}\n`,
    );
    if (error !== undefined) stderr.write(`${inspect(error, { depth: 4 })}\n`);
  };
  return { info: () => undefined, warn: write, error: write };
}
