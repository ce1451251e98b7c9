import { spawn } from 'node:child_process';
import type { Namespace } from './namespace.ts';

export interface ReplicaWatch {
  /** Every number of replicas that a Deployment was asked to have, in order, beginning with the present one; and when, in ms of this process. */
  readonly seen: readonly { replicas: number; atMs: number }[];
  close: () => Promise<void>;
}

/** Watched and not polled: a number that lasts for a moment counts. Resolves when the present one is known. */
export async function watchReplicas(namespace: Namespace, deployment: string): Promise<ReplicaWatch> {
  const seen: { replicas: number; atMs: number }[] = [];
  const columns = 'custom-columns=REPLICAS:.spec.replicas';
  const args = ['get', 'deployment', deployment, '--watch', '--no-headers', '--output', columns];
  const child = spawn('kubectl', ['--namespace', namespace.name, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const { promise: first, resolve: isKnown } = Promise.withResolvers<void>();
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    for (const replicas of lines.map(Number)) {
      if (seen.at(-1)?.replicas !== replicas) seen.push({ replicas, atMs: performance.now() });
    }
    if (seen.length > 0) isKnown();
  });
  await Promise.race([first, ended]);
  return {
    seen,
    close: () => {
      child.kill();
      return ended;
    },
  };
}
