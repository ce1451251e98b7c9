import type { Namespace } from './namespace.ts';

interface Monitor {
  metadata: { name: string; namespace: string };
  spec: {
    selector: {
      matchLabels?: Record<string, string>;
      matchExpressions?: { key: string; operator: 'In'; values: string[] }[];
    };
    targetLabels?: string[];
    podTargetLabels?: string[];
    endpoints?: Endpoint[];
    podMetricsEndpoints?: Endpoint[];
  };
}

interface Endpoint {
  port: string;
  interval: string;
}

interface Labelled {
  metadata: { name: string; labels?: Record<string, string> };
}

interface Pod extends Labelled {
  spec: { containers: { name: string; ports?: { name: string; containerPort: number }[] }[] };
  status: { podIP?: string; phase: string };
}

interface Service extends Labelled {
  spec: { selector?: Record<string, string>; ports: { name: string; targetPort: string | number }[] };
}

interface Target {
  targets: string[];
  labels: Record<string, string>;
}

/**
 * What the Prometheus Operator makes of the chart's own monitors, with the pods of this moment written down: a Prometheus without
 * Kubernetes' service discovery can do no more. Derived as the operator does: which pods a selector means, through which named port, and the
 * labels that every series gets (`namespace`, `pod`, `container`, `job`, `endpoint`, `service`, and the ones that a monitor asks for).
 */
export async function scrapeConfigs(namespace: Namespace): Promise<object[]> {
  const all = async <T>(kind: string) => (await namespace.get<{ items: T[] }>(kind)).items;
  const pods = (await all<Pod>('pods')).filter(({ status }) => status.phase === 'Running');
  const services = await all<Service>('services');
  const ofServices = (await all<Monitor>('servicemonitors')).flatMap(({ metadata, spec }) =>
    services
      .filter((service) => selects(spec.selector, service))
      .flatMap((service) =>
        (spec.endpoints ?? []).flatMap(({ port, interval }) => {
          if (!service.spec.ports.some(({ name }) => name === port)) return [];
          const behind = pods.filter((pod) => selects({ matchLabels: service.spec.selector ?? {} }, pod));
          const labels = { job: service.metadata.name, service: service.metadata.name, endpoint: port };
          const copied = copyLabels(service, spec.targetLabels);
          const targets = behind.flatMap((pod) =>
            targetOf(namespace.name, pod, port, { ...labels, ...copied }),
          );
          return [jobOf(`${namespace.name}/${metadata.name}/${service.metadata.name}`, interval, targets)];
        }),
      ),
  );
  const ofPods = (await all<Monitor>('podmonitors')).flatMap(({ metadata, spec }) =>
    (spec.podMetricsEndpoints ?? []).map(({ port, interval }) => {
      const labels = { job: `${namespace.name}/${metadata.name}`, endpoint: port };
      const chosen = pods.filter((pod) => selects(spec.selector, pod));
      const targets = chosen.flatMap((pod) =>
        targetOf(namespace.name, pod, port, { ...labels, ...copyLabels(pod, spec.podTargetLabels) }),
      );
      return jobOf(`${namespace.name}/${metadata.name}`, interval, targets);
    }),
  );
  return [...ofServices, ...ofPods];
}

/** Label values that a scrape gives win over those of the series, which are moved aside: `honor_labels` is off, as is usual. */
function jobOf(name: string, interval: string, targets: Target[]): object {
  return { job_name: name, scrape_interval: interval, scrape_timeout: interval, static_configs: targets };
}

function targetOf(namespace: string, pod: Pod, port: string, labels: Record<string, string>): Target[] {
  return pod.spec.containers.flatMap(({ name: container, ports = [] }) =>
    ports
      .filter(({ name }) => name === port)
      .map(({ containerPort }) => ({
        targets: [`${pod.status.podIP}:${containerPort}`],
        labels: { namespace, pod: pod.metadata.name, container, ...labels },
      })),
  );
}

function selects(
  { matchLabels = {}, matchExpressions = [] }: Monitor['spec']['selector'],
  { metadata }: Labelled,
) {
  const labels = metadata.labels ?? {};
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, values }) => values.includes(labels[key] ?? ''))
  );
}

function copyLabels({ metadata }: Labelled, names: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = metadata.labels?.[name];
      return value === undefined ? [] : [[name.replaceAll(/[^\w]/g, '_'), value]];
    }),
  );
}
