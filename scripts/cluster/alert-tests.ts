import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** When one alert fires and when it does not, as test/alerts has it. */
export interface AlertCase {
  alert: string;
  case: string;
  /** series with `RELEASE` for the labels of a release, and their values in promtool's notation */
  series: Record<string, string>;
  /** between two values, and two evaluations; a minute where it is left out */
  interval?: string;
  fires?: string[];
  silent?: string[];
  /** it is about something that is missing: of a release without any series it fires, too */
  absent?: 'true';
}

const FOLDER = 'test/alerts';

/** Values such as 0x20 are no numbers. */
export function readAlertCases(): AlertCase[] {
  return readdirSync(FOLDER).flatMap(
    (file) => parse(readFileSync(`${FOLDER}/${file}`, 'utf8'), { schema: 'failsafe' }) as AlertCase[],
  );
}

/** Two releases in one namespace: what happens to the one must move nothing for the other. */
export const RELEASES = ['largesse', 'second'] as const;
export const NAMESPACE = 'gifts';

type Release = (typeof RELEASES)[number];

/** A file for `promtool test rules`: it evaluates every rule that it is given, so it gets those of one group. */
export function promtoolTests(
  cases: readonly AlertCase[],
  interval: string,
  ruleFiles: readonly string[],
): object {
  return {
    rule_files: ruleFiles,
    evaluation_interval: interval,
    tests: cases.flatMap((each) => {
      const own = testOf(each, 'largesse', expectations(each, 'largesse'));
      const isOurs = Object.keys(each.series).some((series) => series.includes('RELEASE'));
      if (each.fires === undefined || each.absent || !isOurs) return [own];
      const silent = expectations({ ...each, silent: each.fires, fires: [] }, 'largesse');
      return [own, testOf(each, 'second', [...expectations(each, 'second'), ...silent])];
    }),
  };
}

export const intervalOf = ({ interval = '1m' }: AlertCase) => interval;

function testOf(each: AlertCase, release: Release, expected: object[]): object {
  return {
    name: `${each.alert}: ${each.case} (of ${release})`,
    interval: intervalOf(each),
    input_series: Object.entries(each.series).map(([series, values]) => ({
      series: series.replace('RELEASE', labelsOf(release)),
      values,
    })),
    promql_expr_test: expected,
  };
}

function expectations({ alert, fires = [], silent = [] }: AlertCase, release: Release): object[] {
  const expr = `count(ALERTS{alertname="${alert}",alertstate="firing",${labelsOf(release)}})`;
  const at = (eval_time: string, exp_samples: object[]) => ({ expr, eval_time, exp_samples });
  return [
    ...silent.map((time) => at(time, [])),
    ...fires.map((time) => at(time, [{ labels: '{}', value: 1 }])),
  ];
}

const labelsOf = (release: Release) => `namespace="${NAMESPACE}",app_kubernetes_io_instance="${release}"`;
