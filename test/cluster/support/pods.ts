import { expect } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import type { Namespace } from './namespace.ts';

export interface Pod {
  name: string;
  imageId: string;
  restarts: number;
}

interface PodObject {
  metadata: { name: string; deletionTimestamp?: string };
  status: {
    conditions?: { type: string; status: string }[];
    containerStatuses?: { imageID: string; restartCount: number }[];
  };
}

/** Of a role, those that serve and are not on their way out, by name. */
export async function readyPods(namespace: Namespace, component: string): Promise<Pod[]> {
  const selector = `app.kubernetes.io/component=${component}`;
  const { items } = await namespace.get<{ items: PodObject[] }>('pods', '--selector', selector);
  return items
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .filter(({ status }) =>
      status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    )
    .map(({ metadata: { name }, status: { containerStatuses: [container] = [] } }) => ({
      name,
      imageId: container?.imageID ?? '',
      restarts: container?.restartCount ?? 0,
    }))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}

export const podNames = async (namespace: Namespace, component: string): Promise<string[]> =>
  (await readyPods(namespace, component)).map(({ name }) => name);

/** Why containers of a role do not start, in kubelet's words. */
export async function waitingFor(namespace: Namespace, component: string): Promise<string> {
  const selector = `app.kubernetes.io/component=${component}`;
  const column = 'jsonpath={.items[*].status.containerStatuses[*].state.waiting.message}';
  return namespace.kubectl('get', 'pods', '--selector', selector, '--output', column);
}

/** Of our image there is no shell: Node finds the process of the role, which is not PID 1, and kills it. */
const KILL = `const { readdirSync, readFileSync } = require('node:fs');
for (const pid of readdirSync('/proc').filter(Number)) {
  const [, script = ''] = readFileSync('/proc/' + pid + '/cmdline', 'utf8').split('\\0');
  if (script.startsWith('dist/')) process.kill(Number(pid), 'SIGKILL');
}`;

/** SIGKILL of its process, as the kernel does when memory is short. Resolves when its container was started anew. */
export async function killProcess(namespace: Namespace, { name, restarts }: Pod): Promise<void> {
  // Whoever killed it may be gone with its container before that is told.
  await namespace.kubectl('exec', name, '--', 'node', '--eval', KILL).catch(() => '');
  const column = 'jsonpath={.status.containerStatuses[0].restartCount}';
  await eventually(
    async () =>
      expect(Number(await namespace.kubectl('get', 'pod', name, '--output', column))).toBeGreaterThan(
        restarts,
      ),
    { timeoutMs: 60_000, intervalMs: 500 },
  );
}

/** As of a node that went away: no grace, no goodbye. */
export async function deleteByForce(namespace: Namespace, { name }: Pod): Promise<void> {
  await namespace.kubectl('delete', 'pod', name, '--grace-period=0', '--force', '--ignore-not-found');
}
