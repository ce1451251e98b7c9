import { execFileSync } from 'node:child_process';

/** kubectl in the cluster that skaffold runs for, or in that of the environment. @throws Error with what it said */
export function kubectl(args: readonly string[], input = ''): string {
  const context = process.env['SKAFFOLD_KUBE_CONTEXT'];
  return execFileSync('kubectl', context ? ['--context', context, ...args] : args, {
    encoding: 'utf8',
    input,
    stdio: ['pipe', 'pipe', 'inherit'],
    maxBuffer: 64 * 1024 * 1024,
  });
}
