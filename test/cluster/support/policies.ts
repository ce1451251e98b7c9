import { defaultPolicy } from '../../../services/reconciler/default-policy.ts';
import { type Access, openAccess } from '../../../services/reconciler/kubernetes/access.ts';
import { ApiClient } from '../../../services/reconciler/kubernetes/api-client.ts';
import { run } from './command.ts';
import type { Namespace } from './namespace.ts';

const DEFINITION = 'charts/largesse/files/deadletterpolicies.largesse.dev.yaml';
export const POLICIES = 'deadletterpolicies.largesse.dev';

/** The CustomResourceDefinition, served. */
export async function installDefinition(): Promise<void> {
  await run('kubectl', ['apply', '--server-side', '--force-conflicts', '--filename', DEFINITION]);
  await run('kubectl', ['wait', '--for=condition=Established', `crd/${POLICIES}`, '--timeout=60s']);
}

/** The reconciler's own way to the API server, as the owner of the kubeconfig, in the namespace of a test. */
export async function accessTo({ name }: Namespace): Promise<Access> {
  const service = { host: undefined, port: 443 };
  const access = await openAccess({ kubeconfig: process.env['KUBECONFIG'], service });
  return { ...access, namespace: name };
}

export async function clientFor(namespace: Namespace): Promise<ApiClient> {
  return new ApiClient(await accessTo(namespace));
}

export type PolicyDocument = { spec: typeof defaultPolicy.spec & Record<string, unknown> };

/** The default policy under a name, with what a test changes. */
export function policyNamed(name: string, change: (policy: PolicyDocument) => unknown = () => undefined) {
  const policy = { ...structuredClone(defaultPolicy), metadata: { name } };
  change(policy as PolicyDocument);
  return policy;
}
