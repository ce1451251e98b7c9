import { spawn } from 'node:child_process';
import type { Namespace } from './namespace.ts';

export interface ReplicaWatch {
  /** Every number of replicas that a Deployment was asked to have, in order, beginning with the present one. */
  readonly seen: readonly number[];
  close: () => Promise<void>;
}

/** Watched and not polled: a number that lasts for a moment counts. */
export function watchReplicas(namespace: Namespace, deployment: string): ReplicaWatch {
  const seen: number[] = [];
  const columns = 'custom-columns=REPLICAS:.spec.replicas';
  const args = ['get', 'deployment', deployment, '--watch', '--no-headers', '--output', columns];
  const child = spawn('kubectl', ['--namespace', namespace.name, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    for (const replicas of lines.map(Number)) if (seen.at(-1) !== replicas) seen.push(replicas);
  });
  return {
    seen,
    close: () => {
      child.kill();
      return ended;
    },
  };
}
