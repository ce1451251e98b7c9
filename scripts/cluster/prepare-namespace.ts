import { kubectl } from './kubectl.ts';
import { missingSecrets } from './secrets.ts';

/** A namespace that admits only what keeps to the restricted standard, with the Secrets of a developer's cluster. @returns which were made */
export function prepareNamespace(name: string): string[] {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
  kubectl(['apply', '--server-side', '--force-conflicts', '--filename', '-'], JSON.stringify(namespace));
  const secrets = ['--namespace', name, 'get', 'secrets', '--output', 'json'];
  type Found = { items: { metadata: { name: string }; data?: Record<string, string> }[] };
  const { items } = JSON.parse(kubectl(secrets)) as Found;
  const missing = missingSecrets(new Map(items.map(({ metadata, data = {} }) => [metadata.name, data])));
  if (missing.length > 0) {
    const list = { apiVersion: 'v1', kind: 'List', items: missing };
    kubectl(['--namespace', name, 'create', '--filename', '-'], JSON.stringify(list));
  }
  return missing.map(({ metadata }) => metadata.name);
}
