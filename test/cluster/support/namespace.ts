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

/** Empty, and it admits only what keeps to the restricted Pod Security Standard. What a killed run left of it is removed first. */
export async function createNamespace(name: string): Promise<Namespace> {
  const remove = async () => {
    await run('kubectl', ['delete', 'namespace', name, '--ignore-not-found', '--wait', '--timeout=120s']);
  };
  const kubectl = (...args: string[]) => run('kubectl', ['--namespace', name, ...args]);
  await remove();
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
    remove,
  };
}
