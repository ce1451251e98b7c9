import { eventually } from '../../support/eventually.ts';
import { run } from './command.ts';
import type { Namespace } from './namespace.ts';
import { forward, type PortForward } from './port-forward.ts';

export interface Sample {
  metric: Record<string, string>;
  value: [number, string];
}

export interface Prometheus {
  query: (expression: string) => Promise<Sample[]>;
  ask: <T>(path: string) => Promise<T>;
  /** What Alertmanager has sent to its receiver. */
  received: () => Promise<Notification[]>;
  close: () => Promise<void>;
}

export interface Notification {
  alerts: { status: string; labels: Record<string, string>; annotations: Record<string, string> }[];
}

const POD = 'prometheus';

/** Prints what it is sent, a line each. */
const RECEIVER = `
import { createServer } from 'node:http';
createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => (body += chunk));
  request.on('end', () => (console.log(body), response.end()));
}).listen(9099, '127.0.0.1');
`;

interface Config {
  scrapeConfigs: object[];
  /** by file name */
  rules: Record<string, object>;
}

/** Prometheus, Alertmanager and a receiver of its notifications, in one pod, as the restricted standard wants it. */
export async function startPrometheus(
  namespace: Namespace,
  image: string,
  config: Config,
): Promise<Prometheus> {
  const files = {
    ...Object.fromEntries(Object.entries(config.rules).map(([name, file]) => [name, JSON.stringify(file)])),
    'prometheus.yml': JSON.stringify(prometheusConfig(config)),
    'alertmanager.yml': JSON.stringify(alertmanagerConfig),
  };
  await namespace.apply([configMap(files), pod(image), service]);
  await namespace.kubectl('wait', '--for=condition=Ready', `pod/${POD}`, '--timeout=180s');
  const way = await forward(namespace, POD, 9090);
  return open(namespace, way);
}

function open(namespace: Namespace, way: PortForward): Prometheus {
  const ask = async <T>(path: string): Promise<T> => {
    const answer = (await (await fetch(`${way.url}${path}`)).json()) as { status: string; data: T };
    if (answer.status !== 'success') throw new Error(`${path}: ${JSON.stringify(answer)}`);
    return answer.data;
  };
  return {
    ask,
    query: async (expression) => {
      const path = `/api/v1/query?query=${encodeURIComponent(expression)}`;
      return (await ask<{ result: Sample[] }>(path)).result;
    },
    received: async () => {
      const log = await namespace.kubectl('logs', POD, '--container', 'receiver');
      return log
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Notification);
    },
    close: way.close,
  };
}

function prometheusConfig({ scrapeConfigs, rules }: Config): object {
  return {
    global: { evaluation_interval: '5s' },
    scrape_configs: scrapeConfigs,
    rule_files: Object.keys(rules).map((name) => `/etc/monitoring/${name}`),
    alerting: { alertmanagers: [{ static_configs: [{ targets: ['127.0.0.1:9093'] }] }] },
  };
}

const alertmanagerConfig = {
  route: {
    receiver: 'nobody',
    group_by: ['namespace', 'app_kubernetes_io_instance'],
    group_wait: '1s',
    group_interval: '5s',
    routes: [{ matchers: ['team = "gifts"'], receiver: 'on-call' }],
  },
  receivers: [
    { name: 'nobody' },
    { name: 'on-call', webhook_configs: [{ url: 'http://127.0.0.1:9099/', send_resolved: true }] },
  ],
};

function configMap(data: Record<string, string>): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: POD }, data };
}

const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: POD },
  spec: { selector: { app: POD }, ports: [{ name: 'http', port: 9090 }] },
};

function pod(image: string): object {
  const restricted = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
  const mounts = [
    { name: 'config', mountPath: '/etc/monitoring' },
    { name: 'data', mountPath: '/data' },
  ];
  const container = (name: string, from: string, command: string[], more = {}) => ({
    ...{ name, image: from, imagePullPolicy: 'IfNotPresent', command, volumeMounts: mounts },
    ...{ securityContext: restricted, ...more },
  });
  const readiness = { readinessProbe: { httpGet: { path: '/-/ready', port: 9090 }, periodSeconds: 1 } };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: POD, labels: { app: POD } },
    spec: {
      securityContext: {
        ...{ runAsNonRoot: true, runAsUser: 10_001, fsGroup: 10_001 },
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        container(
          'prometheus',
          image,
          [
            'prometheus',
            '--config.file=/etc/monitoring/prometheus.yml',
            '--storage.tsdb.path=/data/prometheus',
          ],
          readiness,
        ),
        container('alertmanager', image, [
          ...['alertmanager', '--config.file=/etc/monitoring/alertmanager.yml'],
          ...['--storage.path=/data/alertmanager', '--cluster.listen-address='],
        ]),
        container('receiver', image, ['node', '--input-type=module', '--eval', RECEIVER]),
      ],
      volumes: [
        { name: 'config', configMap: { name: POD } },
        { name: 'data', emptyDir: {} },
      ],
    },
  };
}

const GROUP = 'monitoring.coreos.com';
const KINDS = {
  ServiceMonitor: 'servicemonitors',
  PodMonitor: 'podmonitors',
  PrometheusRule: 'prometheusrules',
};

/**
 * The kinds of the Prometheus Operator, where a cluster has none: without their schema, so that objects can be kept and read.
 *
 * @returns what takes those away that were made: the operator's own must find none
 */
export async function installOperatorKinds(): Promise<() => Promise<void>> {
  const made: string[] = [];
  for (const [kind, plural] of Object.entries(KINDS)) {
    const name = `${plural}.${GROUP}`;
    if (await exists(name)) continue;
    made.push(name);
    await run('kubectl', ['create', '--filename', '-'], JSON.stringify(definition(name, kind, plural)));
    await eventually(
      async () => run('kubectl', ['wait', '--for=condition=Established', `crd/${name}`, '--timeout=60s']),
      { timeoutMs: 60_000, intervalMs: 500 },
    );
  }
  return async () => {
    for (const name of made)
      await run('kubectl', ['delete', 'crd', name, '--ignore-not-found', '--timeout=60s']);
  };
}

async function exists(definitionName: string): Promise<boolean> {
  return (
    (await run('kubectl', ['get', 'crd', definitionName, '--ignore-not-found', '--output', 'name'])) !== ''
  );
}

function definition(name: string, kind: string, plural: string): object {
  const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  const schema = { openAPIV3Schema: { type: 'object', properties: { spec: anything } } };
  const names = { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name },
    spec: {
      ...{ group: GROUP, scope: 'Namespaced', names },
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  };
}
