import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

export const CONFIG = 'k8s/kind.yaml';

/** The cluster of k8s/kind.yaml. */
export const { name: CLUSTER } = parse(readFileSync(CONFIG, 'utf8')) as { name: string };

interface Tool {
  name: string;
  /** What shows that it works. */
  proof: string[];
  remedy: string;
}

const DOCKER: Tool = {
  name: 'docker',
  proof: ['info'],
  remedy: 'install it and start it: https://docs.docker.com/get-started/get-docker/',
};
const KIND: Tool = {
  name: 'kind',
  proof: ['version'],
  remedy: 'install v0.33.0 or newer: https://kind.sigs.k8s.io/docs/user/quick-start/#installation',
};
const KUBECTL: Tool = {
  name: 'kubectl',
  proof: ['version', '--client'],
  remedy: 'install it: https://kubernetes.io/docs/tasks/tools/',
};
const HELM: Tool = {
  name: 'helm',
  proof: ['version'],
  remedy: 'install version 3 or 4: https://helm.sh/docs/intro/install/',
};
const SKAFFOLD: Tool = {
  name: 'skaffold',
  proof: ['version'],
  remedy: 'install v2.14 or newer: https://skaffold.dev/docs/install/',
};

/** What a cluster can't be made without. */
export const FOR_A_CLUSTER = [DOCKER, KIND, KUBECTL];
/** What is needed once it is there. */
export const FOR_SKAFFOLD = [HELM, SKAFFOLD];

/** Of these tools, those that are missing or do not work, in a sentence each. */
export function problemsOf(tools: readonly Tool[]): string[] {
  return tools.flatMap(({ name, proof, remedy }) => {
    const { error, status } = spawnSync(name, proof, { stdio: 'ignore' });
    if (error !== undefined) return [`There is no ${name} in the PATH: ${remedy}`];
    return status === 0 ? [] : [`${name} ${proof.join(' ')} fails (exit code ${status}): ${remedy}`];
  });
}

export function clusters(): string[] {
  const { stdout } = spawnSync('kind', ['get', 'clusters'], { encoding: 'utf8' });
  return stdout.split('\n').filter(Boolean);
}

/** @returns kind's exit code */
export function kind(...args: string[]): number {
  return spawnSync('kind', args, { stdio: 'inherit' }).status ?? 1;
}
