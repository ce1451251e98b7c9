import { readdirSync, readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { parse } from 'yaml';
import { createMetrics } from '../../services/observability/metrics.ts';

export interface Rule {
  alert?: string;
  record?: string;
  expr: string;
  for?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface Panel {
  title: string;
  type: string;
  datasource?: { type: string; uid: string };
  targets?: { expr?: string; query?: string; legendFormat?: string }[];
}

export interface Dashboard {
  title: string;
  uid?: string;
  id: number | null;
  panels: Panel[];
  templating: { list: { name: string; type: string; query?: unknown }[] };
}

const FILES = 'charts/largesse/files';

/** The rules as the chart has them, before it puts namespace and release in. */
export const rules: readonly Rule[] = namesIn('rules', '.yaml').flatMap((name) => {
  const text = readFileSync(`${FILES}/rules/${name}`, 'utf8').replaceAll('MAX_CONNECTIONS', '97');
  const { groups } = parse(text) as { groups: { rules: Rule[] }[] };
  return groups.flatMap((group) => group.rules);
});

export const alerts = rules.filter(({ alert }) => alert !== undefined) as (Rule & { alert: string })[];

export const dashboards: readonly { file: string; dashboard: Dashboard }[] = namesIn(
  'dashboards',
  '.json',
).map((file) => ({
  file,
  dashboard: JSON.parse(readFileSync(`${FILES}/dashboards/${file}`, 'utf8')) as Dashboard,
}));

function namesIn(folder: string, ending: string): string[] {
  return readdirSync(`${FILES}/${folder}`)
    .filter((name) => name.endsWith(ending))
    .sort();
}

/** What a role exposes: every metric, with its labels, as Prometheus names its series. */
export function seriesOf(service: 'api' | 'consumer'): Map<string, readonly string[]> {
  const { registry } = createMetrics(new Registry(), { service });
  const series = new Map<string, readonly string[]>();
  for (const metric of registry.getMetricsAsArray()) {
    const { name, type, labelNames } = metric as unknown as Described;
    const labels = [...labelNames, 'service'];
    if (type === 'histogram') {
      series.set(`${name}_bucket`, [...labels, 'le']);
      for (const part of ['sum', 'count']) series.set(`${name}_${part}`, labels);
    } else series.set(name, labels);
  }
  registry.clear();
  return series;
}

type Described = { name: string; type: string; labelNames: string[] };
