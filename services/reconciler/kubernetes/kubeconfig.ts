import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { KubernetesError } from './kubernetes-error.ts';

/** A kubeconfig with all the ways to log in that the library knows: certificates, tokens, OpenID Connect, a command. */
export function readKubeconfig(path: string) {
  const config = new KubeConfig();
  try {
    config.loadFromFile(path);
  } catch (error) {
    const { code = 'not a kubeconfig' } = error as NodeJS.ErrnoException;
    throw new KubernetesError({ reason: 'NoAccess', message: `KUBECONFIG: ${path} can't be used (${code})` });
  }
  const server = config.getCurrentCluster()?.server;
  if (server === undefined)
    throw new KubernetesError({
      reason: 'NoAccess',
      message: `KUBECONFIG: the current context of ${path} names no cluster`,
    });
  return {
    server: new URL(server),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? 'default',
    credentials: async () => {
      const options: RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      return options;
    },
  };
}
