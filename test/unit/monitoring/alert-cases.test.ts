import { expect, test } from '@jest/globals';
import { readAlertCases } from '../../../scripts/cluster/alert-tests.ts';
import { alerts } from '../../support/chart-monitoring.ts';
import { readQuery } from '../../support/promql.ts';

const cases = readAlertCases();

test.each(alerts)(
  '$alert has a case in which it fires and one in which it stays silent',
  ({ alert, expr }) => {
    const own = cases.filter((each) => each.alert === alert);
    expect(own.filter(({ fires }) => fires !== undefined)).not.toEqual([]);
    expect(own.filter(({ silent }) => silent !== undefined)).not.toEqual([]);
    const asked = readQuery(expr).selectors.map(({ metric }) => metric);
    if (asked.some((metric) => metric.startsWith('largesse:'))) return;
    for (const { series } of own.filter(({ fires }) => fires !== undefined)) {
      const given = Object.keys(series).map((each) => each.split('{')[0] ?? '');
      expect(given.some((name) => asked.includes(name))).toBe(true);
    }
  },
);

test('every case is of an alert that there is', () => {
  const names = alerts.map(({ alert }) => alert);
  for (const { alert } of cases) expect(names).toContain(alert);
});
