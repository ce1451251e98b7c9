import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MONITORING_IMAGE, monitoringPrograms } from '../../scripts/cluster/monitoring-image.ts';
import { dashboards, type Rule } from '../support/chart-monitoring.ts';
import { eventually } from '../support/eventually.ts';
import { readQuery } from '../support/promql.ts';
import { type Api, openApi } from './support/api.ts';
import { installSurroundings, upgradeAll } from './support/installation.ts';
import { createNamespace, type Namespace } from './support/namespace.ts';
import { installDefinition } from './support/policies.ts';
import { installOperatorKinds, type Prometheus, type Sample, startPrometheus } from './support/prometheus.ts';
import { scrapeConfigs } from './support/scrape-config.ts';

const patient = { timeoutMs: 240_000, intervalMs: 1_000 };
const hasPrograms = monitoringPrograms() !== undefined;
const without = '(left out: there is no prometheus and no alertmanager in the PATH)';

type RuleObject = { metadata: { name: string }; spec: { groups: { name: string; rules: Rule[] }[] } };

/** Two releases, of two names and in two namespaces, seen by one Prometheus that goes by the chart's own monitors and rules. */
(hasPrograms ? describe : describe.skip)(`monitoring ${hasPrograms ? '' : without}`, () => {
  let sick: Namespace;
  let well: Namespace;
  let seer: Namespace;
  let api: Api;
  let prometheus: Prometheus;
  let removeKinds: (() => Promise<void>) | undefined;

  beforeAll(async () => {
    removeKinds = await installOperatorKinds();
    await installDefinition();
    [sick, well, seer] = await Promise.all([
      createNamespace('largesse-sick'),
      createNamespace('largesse-well'),
      createNamespace('largesse-seer'),
    ]);
    await Promise.all([install(sick, 'largesse'), install(well, 'second')]);
    api = await openApi(sick);
    prometheus = await startPrometheus(seer, MONITORING_IMAGE, {
      scrapeConfigs: [...(await scrapeConfigs(sick)), ...(await scrapeConfigs(well)), await keda()],
      rules: { 'sick.json': await rulesOf(sick), 'well.json': await rulesOf(well) },
    });
  });
  afterAll(async () => {
    await Promise.all([api?.close(), prometheus?.close()]);
    await Promise.all([sick, well, seer].map((namespace) => namespace?.remove()));
    await removeKinds?.();
  });

  test('P165: every pod is scraped through its NetworkPolicy, and its series tell release from release', async () => {
    const seen = await eventually(async () => {
      const up = await prometheus.query('up{app_kubernetes_io_instance!=""}');
      expect(up.map(({ value }) => value[1])).toEqual(['1', '1', '1', '1']);
      return up.map(({ metric }) => [
        metric['namespace'],
        metric['app_kubernetes_io_instance'],
        metric['app_kubernetes_io_component'],
      ]);
    }, patient);
    expect(seen.sort()).toEqual([
      ['largesse-sick', 'largesse', 'api'],
      ['largesse-sick', 'largesse', 'consumer-gifts'],
      ['largesse-well', 'second', 'api'],
      ['largesse-well', 'second', 'consumer-gifts'],
    ]);
  });

  test('P172: Prometheus takes every rule of both releases', async () => {
    expect((await loaded()).length).toBeGreaterThan(120);
    await eventually(
      async () => expect((await loaded()).filter(({ health }) => health !== 'ok')).toEqual([]),
      patient,
    );
  });

  test('a mail server that is away: an alert with its runbook page reaches who is on call, of this release alone', async () => {
    for (const name of ['ada', 'grace']) await api.send(`${name}@example.com`);
    await eventually(async () => expect(await api.states()).toEqual(['delivered', 'delivered']), patient);
    await sick.kubectl('scale', 'deployment/mail', '--replicas=0');
    await api.send('edsger@example.com');
    const alerts = await eventually(async () => {
      const all = (await prometheus.received()).flatMap((notification) => notification.alerts);
      const found = all.filter(({ labels }) => labels['alertname'] === 'LargesseDeadLetters');
      expect(found).not.toEqual([]);
      return found;
    }, patient);
    expect(alerts[0]).toMatchObject({
      status: 'firing',
      labels: {
        severity: 'warning',
        team: 'gifts',
        namespace: 'largesse-sick',
        app_kubernetes_io_instance: 'largesse',
        queue: 'largesse-gifts-dlq',
      },
      annotations: {
        summary: 'There are dead letters.',
        description: expect.stringMatching(/^1 messages have been in largesse-gifts-dlq for/),
        runbook_url: 'docs/runbook/dead-letters.md#largessedeadletters',
      },
    });
    expect(
      await prometheus.query('ALERTS{namespace="largesse-well",alertname="LargesseDeadLetters"}'),
    ).toEqual([]);
  });

  test('no alert has words that could not be made', async () => {
    const { alerts } = await prometheus.ask<{ alerts: { annotations: Record<string, string> }[] }>(
      '/api/v1/alerts',
    );
    expect(alerts.length).toBeGreaterThan(0);
    expect(JSON.stringify(alerts)).not.toMatch(/<error|no value|%!/);
  });

  test('P165: every series that a rule asks for is scraped', async () => {
    const rules = (await rulesOf(sick)).groups.flatMap((group) => group.rules);
    const asked = rules.flatMap(({ expr }) => readQuery(expr).selectors.map(({ text }) => text));
    const always = [...new Set(asked)].filter((text) => !isAbsentWhenWell.some((one) => one.test(text)));
    expect(always.length).toBeGreaterThan(40);
    await eventually(async () => expect(await unanswered(always)).toEqual([]), patient);
  });

  test('P170: every query of every dashboard has data', async () => {
    await sick.kubectl('scale', 'deployment/mail', '--replicas=1');
    await sick.kubectl('rollout', 'status', 'deployment/mail', '--timeout=120s');
    await api.send('barbara@example.com');
    const panels = dashboards.flatMap(({ dashboard }) => dashboard.panels);
    const queries = panels
      .filter(({ datasource }) => datasource?.type === 'prometheus')
      .flatMap(({ targets = [] }) => targets.map(({ expr = '' }) => expr))
      .map((expr) => {
        const chosen = expr.replaceAll('$namespace', 'largesse-sick').replaceAll('$release', 'largesse');
        return chosen.replaceAll('$__rate_interval', '5m').replaceAll('$__range', '1h');
      });
    expect(queries.length).toBeGreaterThan(40);
    await eventually(async () => expect(await unanswered(queries)).toEqual([]), patient);
  });

  test('P170: the fields that its log queries ask for are those of the lines, from the request to the mail', async () => {
    const lines = (
      await Promise.all(
        ['api', 'consumer-gifts'].map((component) =>
          sick.kubectl('logs', '--selector', `app.kubernetes.io/component=${component}`, '--tail=-1'),
        ),
      )
    )
      .flatMap((log) => log.split('\n'))
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const handled = lines.find(({ event, result }) => event === 'message_handled' && result === 'delivered');
    const requestId = handled?.['request_id'];
    expect(typeof requestId).toBe('string');
    const way = lines
      .filter((line) => line['request_id'] === requestId)
      .map(({ service, event }) => [service, event]);
    expect(way).toEqual(
      expect.arrayContaining([
        ['api', 'http_request'],
        ['consumer', 'message_handled'],
      ]),
    );
    const asked = dashboards
      .flatMap(({ dashboard }) => dashboard.panels)
      .filter(({ datasource }) => datasource?.type === 'loki')
      .flatMap(({ targets = [] }) => targets.map(({ expr = '' }) => expr));
    expect(asked.length).toBeGreaterThan(0);
    const fields = asked.flatMap((query) =>
      [...query.matchAll(/(?:\||or) (\w+) = "/g)].map(([, field]) => field),
    );
    for (const field of fields) expect(Object.keys(handled ?? {})).toContain(field);
  });

  async function install(namespace: Namespace, release: string): Promise<void> {
    await installSurroundings(namespace);
    await upgradeAll(
      namespace,
      [
        ...['crds.enabled=false', 'api.autoscaling.enabled=false', 'api.replicas=1'],
        'consumers.gifts.scaling.minReplicas=1',
        // Two releases find room where one is usual.
        ...['api', 'consumerDefaults', 'reconciler', 'migrate'].map(
          (role) => `${role}.resources.requests.cpu=20m`,
        ),
        // Gifts give up at once instead of waiting for the mail server; the reconciler leaves them for five minutes.
        ...['settings.MAX_RETRY_COUNT=0', 'consumers.gifts.settings.MAIL_PAUSE=off'],
        ...['monitoring.serviceMonitor.enabled=true', 'monitoring.serviceMonitor.interval=5s'],
        ...['monitoring.rules.enabled=true', 'monitoring.rules.alertLabels.team=gifts'],
        'monitoring.dashboards.enabled=true',
        'networkPolicy.ingress.metrics[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=largesse-seer',
      ],
      { name: release },
    );
  }

  /** As the chart made them, but for how long an alert waits. */
  async function rulesOf(namespace: Namespace): Promise<RuleObject['spec']> {
    const { items } = await namespace.get<{ items: RuleObject[] }>('prometheusrules');
    const groups = items.flatMap(({ spec }) => spec.groups);
    return {
      groups: groups.map((group) => ({
        name: group.name,
        rules: group.rules.map((rule) => (rule.for === undefined ? rule : { ...rule, for: '5s' })),
      })),
    };
  }

  /** The queries that get nothing, or no number. */
  async function unanswered(queries: readonly string[]): Promise<string[]> {
    const answers = await Promise.all(queries.map((query) => prometheus.query(query)));
    const isNumber = ({ value }: Sample) => Number.isFinite(Number(value[1]));
    return queries.filter((_query, index) => !answers[index]?.some(isNumber));
  }

  async function loaded(): Promise<{ name: string; health: string }[]> {
    type Groups = { groups: { rules: { name: string; health: string }[] }[] };
    return (await prometheus.ask<Groups>('/api/v1/rules')).groups.flatMap(({ rules }) => rules);
  }

  async function keda(): Promise<object> {
    type Pods = { items: { status: { podIP: string } }[] };
    const { items } = await sick.get<Pods>('pods', '--namespace=keda', '--selector=app=keda-operator');
    const targets = items.map(({ status }) => `${status.podIP}:8080`);
    return { job_name: 'keda', honor_labels: true, scrape_interval: '5s', static_configs: [{ targets }] };
  }
});

/** Series that only what they tell of makes: a label value that nobody can know before. */
const isAbsentWhenWell = [/^keda_scaled_object_errors_total\{exported_namespace="largesse/];
