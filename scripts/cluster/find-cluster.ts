import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

export type FoundCluster = { environment: Record<string, string> } | { problem: string };

const NONE =
  'There is no cluster: set KUBECONFIG to one that you may fill and empty (a kind cluster, say), or CLUSTER_TOOLS to a folder of programs that bring one up.';

/**
 * A cluster that answers, and what a program needs in its environment to use it. `CLUSTER_TOOLS` names a folder with the programs
 * `up` (brings a cluster up, or what is missing of it), `env` (prints export lines) and `build-image DIR NAME [options]`.
 */
export function findCluster(env: NodeJS.ProcessEnv): FoundCluster {
  const tools = env['CLUSTER_TOOLS'];
  if (!env['KUBECONFIG'] && !tools) return { problem: NONE };
  const environment = env['KUBECONFIG'] || !tools ? {} : bringUp(tools);
  if (environment === undefined) return { problem: `${tools}/up could not bring a cluster up.` };
  const missing = lacks({ ...env, ...environment });
  return missing === undefined ? { environment } : { problem: missing };
}

function bringUp(tools: string): Record<string, string> | undefined {
  const up = spawnSync(join(tools, 'up'), { stdio: 'inherit' });
  return up.status === 0 ? environmentOf(tools) : undefined;
}

/** What the export lines of these tools come to, in the shell that they are written for. */
export function environmentOf(tools: string): Record<string, string> {
  const script = 'eval "$("$0")" && env -0';
  const shown = spawnSync('bash', ['-c', script, join(tools, 'env')], { encoding: 'utf8' });
  const lines = shown.stdout.split('\0').filter(Boolean);
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

function lacks(env: NodeJS.ProcessEnv): string | undefined {
  const works = (command: string, ...args: string[]) =>
    spawnSync(command, args, { env, stdio: 'ignore' }).status === 0;
  if (!works('helm', 'version')) return 'There is no helm in the PATH.';
  if (!works('kubectl', 'version', '--client')) return 'There is no kubectl in the PATH.';
  if (!works('kubectl', 'get', 'namespaces', '--request-timeout=10s')) return 'The cluster does not answer.';
  return works('kubectl', 'get', 'crd', 'scaledobjects.keda.sh')
    ? undefined
    : 'KEDA is not installed in the cluster, and consumers are scaled by it: https://keda.sh/docs/latest/deploy/';
}
