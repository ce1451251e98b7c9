import { spawnSync } from 'node:child_process';

/** kubectl in the cluster that skaffold runs for, or in that of the environment. What it complains of is shown as it is. @throws Error that names the command */
export function kubectl(args: readonly string[], input = ''): string {
  const context = process.env['SKAFFOLD_KUBE_CONTEXT'];
  const { status, stdout, error } = spawnSync('kubectl', context ? ['--context', context, ...args] : args, {
    encoding: 'utf8',
    input,
    stdio: ['pipe', 'pipe', 'inherit'],
    maxBuffer: 64 * 1024 * 1024,
  });
  if (error !== undefined) throw new Error(`kubectl can not be run: ${error.message}`);
  if (status !== 0) throw new Error(`kubectl ${args.slice(0, 4).join(' ')} … ended with ${status}`);
  return stdout;
}

/** For the scripts that use it: a failure is its sentence and not a stack. */
export async function orSay(work: () => void | Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
