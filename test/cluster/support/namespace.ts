import { run } from './command.ts';

/** A namespace of a test, and kubectl in it. */
export interface Namespace {
  name: string;
  kubectl: (...args: string[]) => Promise<string>;
  /** kubectl's answer, parsed */
  get: <T>(...args: string[]) => Promise<T>;
  apply: (objects: object[]) => Promise<void>;
  remove: () => Promise<void>;
}

/**
 * Empty, and it admits only what keeps to the restricted Pod Security Standard. What a run of before left of it is removed first, and waited for:
 * at the end nobody waits, for pods that take their time to end while the next test begins.
 */
export async function createNamespace(name: string): Promise<Namespace> {
  const remove = async (...how: string[]) => {
    await run('kubectl', ['delete', 'namespace', name, '--ignore-not-found', ...how]);
  };
  const kubectl = (...args: string[]) => run('kubectl', ['--namespace', name, ...args]);
  await remove('--wait', '--timeout=120s');
  await run('kubectl', ['create', 'namespace', name]);
  await run('kubectl', ['label', 'namespace', name, 'pod-security.kubernetes.io/enforce=restricted']);
  return {
    name,
    kubectl,
    get: async <T>(...args: string[]) => JSON.parse(await kubectl('get', ...args, '--output', 'json')) as T,
    apply: async (items) => {
      const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
      await run('kubectl', ['--namespace', name, 'apply', '--filename', '-'], list);
    },
    remove: () => remove('--wait=false'),
  };
}
