import { prepareNamespace } from '../../../scripts/cluster/prepare-namespace.ts';
import { readConfigurations, releaseOfLargesse } from '../../../scripts/skaffold/configuration.ts';
import { helmArguments } from '../../../scripts/skaffold/helm-arguments.ts';
import { helm } from './command.ts';
import { CURRENT } from './images.ts';
import type { Namespace } from './namespace.ts';
import { installDefinition } from './policies.ts';

export const CHART = 'charts/largesse';

/** PostgreSQL, an SQS emulator and a mail catcher, with the Secrets that lead to them: the manifests of skaffold.yaml. */
export async function installSurroundings(namespace: Namespace): Promise<void> {
  prepareNamespace(namespace.name);
  for (const { manifests } of readConfigurations()) {
    for (const pattern of manifests?.rawYaml ?? []) {
      const folder = pattern.replace(/\/\*\.yaml$/, '');
      const names = await namespace.kubectl('apply', '--filename', folder, '--output', 'name');
      const deployments = names.split('\n').filter((each) => each.startsWith('deployment'));
      for (const each of deployments) await namespace.kubectl('rollout', 'status', each, '--timeout=120s');
    }
  }
}

/**
 * The release of skaffold.yaml, and `settings` (`key=value`) over it. It is named largesse, and so are its objects. The
 * definition of policies is the cluster's, so it is no release's.
 */
export async function upgrade(
  namespace: Namespace,
  settings: readonly string[] = [],
  image = CURRENT,
): Promise<void> {
  await installDefinition();
  await upgradeAll(namespace, ['crds.enabled=false', ...settings], { image });
}

/** The definition, too, as the only release of a cluster does. */
export async function upgradeAll(
  namespace: Namespace,
  settings: readonly string[] = [],
  { chart = CHART, name = 'largesse', image = CURRENT } = {},
): Promise<void> {
  const release = { ...releaseOfLargesse(undefined, namespace.name), chartPath: chart, name };
  await helm(
    ...['upgrade', '--install', ...helmArguments(release, image), '--wait', '--timeout', '4m'],
    ...settings.flatMap((value) => ['--set', value]),
  );
}
