import { describe, expect, test } from '@jest/globals';
import { dashboards } from '../../support/chart-monitoring.ts';

const kinds = { datasource: 'prometheus', logs: 'loki', traces: 'tempo' };

test('there are those for operations, business, objectives and the way of one gift', () => {
  expect(dashboards.map(({ file }) => file)).toEqual([
    'business.json',
    'one-gift.json',
    'operations.json',
    'slos.json',
  ]);
});

describe.each(dashboards)('$file', ({ dashboard }) => {
  test('P170: is provisioned into any Grafana: no id, no uid, no datasource of somebody else', () => {
    expect(dashboard.id).toBeNull();
    expect(dashboard).not.toHaveProperty('uid');
    const text = JSON.stringify(dashboard);
    expect(text).not.toMatch(/\$\{DS_|__inputs|__requires/);
    const names = dashboard.templating.list.map(({ name }) => name);
    expect(names.slice(0, 3)).toEqual(['datasource', 'namespace', 'release']);
    for (const { datasource, type } of dashboard.panels) {
      if (type === 'row') continue;
      const name = /^\$\{(\w+)\}$/.exec(datasource?.uid ?? '')?.[1] as keyof typeof kinds;
      expect(names).toContain(name);
      expect(datasource?.type).toBe(kinds[name]);
    }
  });

  test('every variable that a query has is one of the dashboard or of Grafana', () => {
    const names = dashboard.templating.list.map(({ name }) => name);
    const known = [...names, '__rate_interval', '__range', '__auto'];
    for (const { targets = [] } of dashboard.panels)
      for (const { expr = '', query = '' } of targets)
        for (const [, used = ''] of `${expr} ${query}`.matchAll(/\$\{?(\w+)/g)) expect(known).toContain(used);
  });

  test('panels are numbered, lie beside each other, and have a title', () => {
    const places = (
      dashboard.panels as unknown as { gridPos: { x: number; y: number; w: number; h: number } }[]
    ).map(({ gridPos }) => gridPos);
    for (const [index, one] of places.entries()) {
      expect(one.x + one.w).toBeLessThanOrEqual(24);
      for (const other of places.slice(index + 1)) {
        const apart =
          one.x + one.w <= other.x ||
          other.x + other.w <= one.x ||
          one.y + one.h <= other.y ||
          other.y + other.h <= one.y;
        expect({ one, other, apart }).toEqual({ one, other, apart: true });
      }
    }
    const ids = (dashboard.panels as unknown as { id: number }[]).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { title } of dashboard.panels) expect(title).toMatch(/\S/);
  });
});
