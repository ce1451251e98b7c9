import type { Namespace } from './namespace.ts';
import { nodePod } from './node-pod.ts';

/** Goes on for as long as a policy may take to count; ends with 0 when it was cut off from DNS in that time. */
const TRY = `import { lookup } from 'node:dns/promises';
import { setTimeout as pause } from 'node:timers/promises';
for (let tries = 0; tries < 20; tries += 1) {
  if (await lookup('postgres').then(() => false, () => true)) process.exit(0);
  await pause(500);
}
process.exit(1);`;

/** Whether this cluster heeds NetworkPolicies: many a network plugin accepts them and does nothing. */
export async function enforcesPolicies(namespace: Namespace): Promise<boolean> {
  const labels = { app: 'cut-off' };
  const policy = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'cut-off' },
    spec: { podSelector: { matchLabels: labels }, policyTypes: ['Egress'], egress: [] },
  };
  await namespace.apply([policy, nodePod('cut-off', TRY, { labels })]);
  const ended = '--for=jsonpath={.status.containerStatuses[0].state.terminated}';
  await namespace.kubectl('wait', 'pod/cut-off', ended, '--timeout=120s');
  const exitCode = 'jsonpath={.status.containerStatuses[0].state.terminated.exitCode}';
  return (await namespace.kubectl('get', 'pod', 'cut-off', '--output', exitCode)) === '0';
}
