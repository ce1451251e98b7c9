import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { KubernetesError } from './kubernetes-error.ts';

/** How the API server is reached, and as whom. */
export type Access = {
  server: URL;
  /** of the pod, or of the context of the kubeconfig */
  namespace: string;
  /** Asked before every request: a pod's token is exchanged while it lives. */
  credentials: () => Promise<RequestOptions>;
};

export type AccessOptions = {
  /** one path or several, as kubectl reads them; it comes before the pod's own account */
  kubeconfig: string | undefined;
  /** what kubelet tells every pod */
  service: { host: string | undefined; port: number };
  /** instead of where kubelet mounts the pod's account */
  accountFolder?: string;
};

const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * A pod's own account costs three small files; only a kubeconfig, with its many ways to log in, needs the library, which
 * takes longer to load than everything else here.
 *
 * @throws KubernetesError `NoAccess` when there is neither
 */
export async function openAccess(options: AccessOptions): Promise<Access> {
  const { kubeconfig, service } = options;
  if (kubeconfig !== undefined) {
    const { readKubeconfig } = await import('./kubeconfig.ts');
    return readKubeconfig(kubeconfig);
  }
  if (service.host !== undefined) return inCluster(service.host, service.port, options.accountFolder);
  const message =
    'there is no way to an API server: this is no pod (KUBERNETES_SERVICE_HOST is not set), and KUBECONFIG names no file';
  throw new KubernetesError({ reason: 'NoAccess', message });
}

async function inCluster(host: string, port: number, folder = accountFolder): Promise<Access> {
  const [ca, namespace] = await Promise.all(['ca.crt', 'namespace'].map((name) => read(folder, name)));
  const server = new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`);
  return {
    server,
    namespace: (namespace ?? '').trim(),
    credentials: async () => ({
      ca,
      headers: { authorization: `Bearer ${(await read(folder, 'token')).trim()}` },
    }),
  };
}

async function read(folder: string, name: string): Promise<string> {
  try {
    return await readFile(`${folder}/${name}`, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const message = `${folder}/${name} can't be read (${code ?? 'unknown'}): the pod has no account (automountServiceAccountToken)`;
    throw new KubernetesError({ reason: 'NoAccess', message });
  }
}
