import { describe, expect, test } from '@jest/globals';
import { dashboards, rules, seriesOf } from '../../support/chart-monitoring.ts';
import { readQuery } from '../../support/promql.ts';

/** What Prometheus and its operator put on every series, and the two labels that the chart's monitors ask for. */
const OF_THE_TARGET = [
  ...['namespace', 'pod', 'container', 'job', 'instance', 'endpoint'],
  ...['app_kubernetes_io_instance', 'app_kubernetes_io_component'],
];

/** Not ours. KEDA's are those of 2.21 (`pkg/metricscollector/prommetrics.go`). */
const OF_OTHERS: [string, readonly string[]][] = [
  ['up', []],
  ['ALERTS', ['alertname', 'alertstate', 'severity']],
  ['keda_scaled_object_errors_total', ['scaledObject', 'exported_namespace']],
];

const known = new Map<string, readonly string[]>([
  ...seriesOf('api'),
  ...seriesOf('consumer'),
  ...OF_OTHERS,
  ...recorded(),
]);

/** A recording has the labels that its expression leaves. */
function recorded(): [string, readonly string[]][] {
  return rules.flatMap(({ record, expr }) =>
    record === undefined ? [] : [[record, readQuery(expr).groupings.flatMap(({ labels }) => labels)]],
  );
}

const ofRules = rules.map(({ alert, record, expr }): [string, string] => [alert ?? record ?? '', expr]);
const ofDashboards = dashboards.flatMap(({ dashboard }) =>
  dashboard.panels.flatMap(({ title, datasource, targets = [] }) =>
    targets.flatMap(({ expr }): [string, string][] =>
      expr === undefined || datasource?.type !== 'prometheus'
        ? []
        : [[`${dashboard.title}: ${title}`, inGrafana(expr)]],
    ),
  ),
);

/** As Grafana would ask. */
function inGrafana(expr: string): string {
  return expr.replaceAll('$__rate_interval', '5m').replaceAll('$__range', '1h');
}

test('there are rules and dashboards', () => {
  expect(ofRules.length).toBeGreaterThan(50);
  expect(ofDashboards.length).toBeGreaterThan(30);
});

describe.each([...ofRules, ...ofDashboards])('%s', (_name, expr) => {
  test('P165: asks for series and labels that there are', () => {
    const { selectors, groupings } = readQuery(expr);
    expect(selectors.length).toBeGreaterThan(0);
    for (const { metric, matchers } of selectors) {
      expect([...known.keys()]).toContain(metric);
      const labels = [...(known.get(metric) ?? []), ...OF_THE_TARGET, 'release'];
      for (const { label } of matchers) expect(labels).toContain(label);
    }
    for (const { labels, metrics } of groupings) {
      const offered = metrics.flatMap((metric) => known.get(metric) ?? []);
      for (const label of labels) expect([...offered, ...OF_THE_TARGET]).toContain(label);
    }
  });
});

test.each([...ofRules, ...ofDashboards])(
  'P165: %s finds the buckets of Prometheus 2 and 3',
  (_name, expr) => {
    const bounds = readQuery(expr).selectors.flatMap(({ matchers }) =>
      matchers.filter(({ label }) => label === 'le'),
    );
    for (const { operator, value } of bounds) {
      const [plain = '', asFloat] = value.split('|');
      expect({ operator, asFloat }).toEqual({ operator: '=~', asFloat: `${plain}[.]0` });
    }
  },
);

test.each(ofRules)('P165: %s looks at one release alone', (_name, expr) => {
  for (const { metric, matchers } of readQuery(expr).selectors) {
    const scope = matchers.filter(({ label, operator }) => operator === '=' && label.endsWith('namespace'));
    if (metric.startsWith('keda_')) expect(scope.map(({ value }) => value)).toContain('NAMESPACE');
    else expect(matchers).toContainEqual({ label: 'release', operator: '=', value: 'RELEASE' });
  }
});

test.each(ofDashboards)('P165: %s looks at the chosen release alone', (_name, expr) => {
  for (const { metric, matchers } of readQuery(expr).selectors) {
    expect(matchers).toContainEqual({ label: 'namespace', operator: '=', value: '$namespace' });
    if (!metric.startsWith('keda_'))
      expect(matchers).toContainEqual({
        label: 'app_kubernetes_io_instance',
        operator: '=',
        value: '$release',
      });
  }
});
