import { readFileSync } from 'node:fs';
import type { Namespace } from './namespace.ts';
import { nodePod } from './node-pod.ts';

export interface LoadResult {
  accepted: number;
  failures: string[];
}

const script = readFileSync(new URL('load.mjs', import.meta.url), 'utf8');

/** Senders inside the cluster: they come through the Service, as a port-forward does not. @returns how to stop them */
export async function startLoad(namespace: Namespace, key: string): Promise<() => Promise<LoadResult>> {
  const env = { API_URL: 'http://largesse-api', API_KEY: key, CLIENTS: '4' };
  await namespace.apply([nodePod('load', script, { env })]);
  await namespace.kubectl('wait', 'pod/load', '--for=condition=Ready', '--timeout=60s');
  return async () => {
    await namespace.kubectl('exec', 'load', '--', 'node', '--eval', "process.kill(1, 'SIGTERM')");
    const ended = '--for=jsonpath={.status.phase}=Succeeded';
    await namespace.kubectl('wait', 'pod/load', ended, '--timeout=60s');
    const result = JSON.parse(await namespace.kubectl('logs', 'load')) as LoadResult;
    await namespace.kubectl('delete', 'pod', 'load');
    return result;
  };
}
