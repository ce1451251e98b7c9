import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { createMetrics } from '../../../services/observability/metrics.ts';

type Described = { name: string; help: string; labelNames: string[] };

const { registry } = createMetrics(new Registry(), { processMetrics: false });

test('docs/observability.md lists every metric with its labels and what it tells', () => {
  const page = readFileSync('docs/observability.md', 'utf8');
  const table = page.split('\n').filter((line) => line.startsWith('| `largesse_'));
  const metrics = registry.getMetricsAsArray() as unknown as Described[];
  const wanted = metrics.map(({ name, help, labelNames }) => {
    const labels = labelNames.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${labels} | ${help.replace(/\.$/, '')} |`;
  });
  expect(table.sort()).toEqual(wanted.sort());
});
