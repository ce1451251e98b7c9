import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { intervalOf, NAMESPACE, promtoolTests, RELEASES, readAlertCases } from './alert-tests.ts';
import { kindConfigProblem } from './kind-config.ts';

export interface ChartCheck {
  name: string;
  /** The program that it runs. */
  needs: string;
  /** @returns what is wrong; empty when nothing is */
  check: (tools: string | undefined) => string;
}

const CHART = 'charts/largesse';
/** Its own, and those that documents tell people to begin with. */
const VALUES = [
  ...['minimal', 'everything'].map((name) => `${CHART}/ci/${name}-values.yaml`),
  ...['k8s/values.yaml', 'k8s/eks/values.yaml'],
];

const HELM_DOCS = ['--chart-search-root', CHART, '--sort-values-order', 'file'];

/** Cheapest first. */
export const CHECKS: readonly ChartCheck[] = [
  {
    name: 'helm lint',
    needs: 'helm',
    check: () => each((values) => problemOf('helm', ['lint', CHART, '-f', values])),
  },
  { name: 'helm unittest', needs: 'helm', check: () => problemOf('helm', ['unittest', CHART]) },
  {
    name: 'P62: two renderings are the same bytes',
    needs: 'helm',
    check: () => each(changesBetweenRuns),
  },
  { name: 'Helm 4 renders what Helm 3 does', needs: 'helm4', check: () => each(differsInHelm4) },
  { name: 'P167 P168 P169: alerts fire and stay silent', needs: 'promtool', check: testAlerts },
  { name: 'kubeconform', needs: 'kubeconform', check: (tools) => each((values) => conforms(values, tools)) },
  { name: 'kube-score', needs: 'kube-score', check: () => each(scores) },
  { name: 'kind reads k8s/kind.yaml', needs: 'kind', check: () => kindConfigProblem() },
  { name: 'README.md of the chart is what its values say', needs: 'helm-docs', check: isDocumented },
];

function each(check: (values: string) => string): string {
  return VALUES.map(check).filter(Boolean).join('\n');
}

function problemOf(command: string, args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', input });
  return status === 0 ? '' : `${stdout}${stderr}`;
}

function render(command: string, values: string): string {
  const { stdout, stderr } = spawnSync(command, ['template', 'largesse', CHART, '-f', values], {
    encoding: 'utf8',
  });
  return stdout || stderr;
}

function changesBetweenRuns(values: string): string {
  const [one, another] = [1, 2].map(() => render('helm', values));
  return one === another ? '' : `${values}: the renderings differ`;
}

/** Objects, not bytes: the one puts more empty lines between them. */
function differsInHelm4(values: string): string {
  const objects = (command: string) =>
    JSON.stringify(parseAllDocuments(render(command, values)).map((document) => document.toJS()));
  return objects('helm') === objects('helm4') ? '' : `${values}: the objects differ`;
}

/** Schemas of this Kubernetes and KEDA come with the tools of a cluster; else kubeconform fetches those it knows. */
function conforms(values: string, tools: string | undefined): string {
  const options = tools
    ? spawnSync(join(tools, 'schemas'), { encoding: 'utf8' }).stdout.trim().split(' ')
    : ['-strict', '-ignore-missing-schemas'];
  // The Gateway API and the Prometheus Operator are no part of either.
  const unknown = 'HTTPRoute,ServiceMonitor,PodMonitor,PrometheusRule';
  return problemOf('kubeconform', [...options, '-skip', unknown], render('helm', values));
}

/** Deviations, each with its reason, are in ci/kube-score.txt. */
function scores(values: string): string {
  const lines = readFileSync(`${CHART}/ci/kube-score.txt`, 'utf8').split('\n');
  const options = lines.filter((line) => line.startsWith('--')).flatMap((line) => line.split(' '));
  return problemOf('kube-score', ['score', ...options, '-'], render('helm', values));
}

type Group = { name: string; rules: { alert?: string }[] };

/** The rules as two releases have them, beside each other in one Prometheus. */
function testAlerts(): string {
  const folder = mkdtempSync(join(tmpdir(), 'largesse-alerts-'));
  const write = (name: string, content: object) => {
    writeFileSync(join(folder, name), stringify(content));
    return join(folder, name);
  };
  try {
    const rendered = RELEASES.map(rulesOf);
    const names = rendered[0]?.map(({ name }) => name) ?? [];
    const problems = names.flatMap((name) => {
      const groups = rendered.flatMap((all) => all.filter((group) => group.name === name));
      const files = groups.map((group, index) => write(`${name}-${index}.yaml`, { groups: [group] }));
      const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
      const own = readAlertCases().filter(({ alert }) => alerts.includes(alert));
      const tests = [...new Set(own.map(intervalOf))].map((interval) => {
        const cases = own.filter((each) => intervalOf(each) === interval);
        return write(`${name}-${interval}.yaml`, promtoolTests(cases, interval, files));
      });
      return [
        problemOf('promtool', ['check', 'rules', ...files]),
        problemOf('promtool', ['test', 'rules', ...tests]),
      ];
    });
    return problems.filter(Boolean).join('\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function rulesOf(release: string): Group[] {
  const options = ['--namespace', NAMESPACE, '-f', VALUES[0] ?? '', '--set', 'monitoring.rules.enabled=true'];
  const shown = ['--show-only', 'templates/monitoring/prometheusrule.yaml'];
  const { stdout } = spawnSync('helm', ['template', release, CHART, ...options, ...shown], {
    encoding: 'utf8',
  });
  return parseAllDocuments(stdout).flatMap(
    (document) => (document.toJS() as { spec: { groups: Group[] } }).spec.groups,
  );
}

function isDocumented(): string {
  const shown = spawnSync('helm-docs', [...HELM_DOCS, '--dry-run'], { encoding: 'utf8' });
  const written = readFileSync(`${CHART}/README.md`, 'utf8');
  return shown.stdout.trim() === written.trim()
    ? ''
    : `helm-docs ${HELM_DOCS.join(' ')} writes another README.md than there is`;
}
