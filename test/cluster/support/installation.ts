import { developmentSecrets } from '../../../scripts/cluster/secrets.ts';
import { helm } from './command.ts';
import type { Namespace } from './namespace.ts';
import { installDefinition } from './policies.ts';

export const CHART = 'charts/largesse';
const SURROUNDINGS = ['deployment/postgres', 'deployment/sqs-emulator', 'deployment/mail'];

/** PostgreSQL, an SQS emulator and a mail catcher, with the Secrets that lead to them. */
export async function installSurroundings(namespace: Namespace): Promise<void> {
  await namespace.apply(developmentSecrets());
  await namespace.kubectl('apply', '--filename', 'k8s/surroundings');
  for (const each of SURROUNDINGS) await namespace.kubectl('rollout', 'status', each, '--timeout=120s');
}

/**
 * The chart as k8s/values.yaml has it, and `settings` (`key=value`) over it. The release is named largesse, and so are its objects. The
 * definition of policies is the cluster's, so it is no release's.
 */
export async function upgrade(namespace: Namespace, settings: readonly string[] = []): Promise<void> {
  await installDefinition();
  await upgradeAll(namespace, ['crds.enabled=false', ...settings]);
}

/** The definition, too, as the only release of a cluster does. */
export async function upgradeAll(
  namespace: Namespace,
  settings: readonly string[] = [],
  chart = CHART,
): Promise<void> {
  const values = [`aws.endpointUrl=http://sqs-emulator.${namespace.name}.svc:4566`, ...settings];
  await helm(
    ...['upgrade', '--install', 'largesse', chart, '--namespace', namespace.name],
    ...['--values', 'k8s/values.yaml', '--wait', '--timeout', '4m'],
    ...values.flatMap((value) => ['--set', value]),
  );
}
