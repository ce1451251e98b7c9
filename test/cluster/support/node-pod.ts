import { CURRENT } from './images.ts';

interface NodePodOptions {
  env?: Record<string, string>;
  labels?: Record<string, string>;
}

/** A pod that runs a script in Node, once, as the restricted standard wants it. */
export function nodePod(name: string, script: string, { env = {}, labels = {} }: NodePodOptions): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: {
      restartPolicy: 'Never',
      securityContext: { runAsNonRoot: true, runAsUser: 10_001, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name,
          image: `${CURRENT.repository}:${CURRENT.tag}`,
          imagePullPolicy: 'IfNotPresent',
          args: ['--input-type=module', '--eval', script],
          env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    },
  };
}
