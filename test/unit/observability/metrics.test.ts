import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Registry } from 'prom-client';
import { createMetrics } from '../../../services/observability/metrics.ts';

const quiet = { processMetrics: false };

/** What PRODUCT M2 promises: alerts and dashboards are written against these names. */
const PROMISED = [
  'largesse_gifts_accepted_total',
  'largesse_gifts_processed_total',
  'largesse_gifts_failed_total',
  'largesse_gifts_retried_total',
  'largesse_gifts_dead_lettered_total',
  'largesse_messages_redriven_total',
  'largesse_gift_processing_seconds',
  'largesse_message_age_seconds',
  'largesse_queue_depth_messages',
  'largesse_outbox_lag_seconds',
  'largesse_sqs_requests_total',
  'largesse_messages_settled_total',
  'largesse_ledger_invariant_ok',
  'largesse_pool_connections',
];

test('all metrics that the product promises are exposed, under names of one form', async () => {
  const { render } = createMetrics(new Registry(), quiet);
  const { body, contentType } = await render();
  const names = [...body.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name);
  expect(contentType).toMatch(/^text\/plain/);
  expect(names).toEqual(expect.arrayContaining(PROMISED));
  for (const name of names) expect(name).toMatch(/^largesse_[a-z]+(_[a-z]+)+$/);
});

test('samples carry the service, and process metrics are there unless switched off', async () => {
  const metrics = createMetrics(new Registry(), { service: 'api' });
  metrics.giftsAccepted.inc({ recipient_type: 'email' }, 3);
  const { body } = await metrics.render();
  metrics.registry.clear();
  expect(body).toContain('largesse_gifts_accepted_total{recipient_type="email",service="api"} 3');
  expect(body).toContain('process_cpu_seconds_total');
  expect((await createMetrics(new Registry(), quiet).render()).body).not.toContain('process_cpu');
});

test('a gauge that this process never sets has no value, so that no alert believes one', async () => {
  const metrics = createMetrics(new Registry(), quiet);
  const samplesOf = async () =>
    (await metrics.render()).body
      .split('\n')
      .filter((line) => /^largesse_(outbox_lag|ledger_closed)/.test(line));
  expect(await samplesOf()).toEqual([]);
  metrics.outboxLagSeconds.set(0);
  expect(await samplesOf()).toEqual(['largesse_outbox_lag_seconds 0']);
});

test('two sets of metrics in one process do not collide', async () => {
  const [first, second] = [createMetrics(undefined, quiet), createMetrics(undefined, quiet)];
  first.rateLimiterFailures.inc();
  expect((await second.render()).body).toContain('largesse_rate_limiter_failures_total 0');
});

test('whatever methods and statuses clients provoke, the number of series stays bounded', async () => {
  const metrics = createMetrics(new Registry(), quiet);
  fc.assert(
    fc.property(fc.string(), fc.oneof(fc.integer(), fc.double()), (method, status) => {
      metrics.observeHttp({ method, route: undefined, status: Math.abs(status) % 10_000, seconds: 0.01 });
    }),
  );
  metrics.observeHttp({ method: 'POST', route: '/v1/gifts', status: 202, seconds: 0.01 });
  const { body } = await metrics.render();
  const labels = [...body.matchAll(/^largesse_http_request_seconds_count\{(.*)\}/gm)].map(([, text]) => text);
  expect(labels).toContain('method="POST",route="/v1/gifts",status="202"');
  expect(new Set(labels.map((text) => /method="(.*?)"/.exec(text ?? '')?.[1])).size).toBeLessThanOrEqual(8);
  for (const text of labels) expect(text).toMatch(/status="(0|[1-5]\d\d)"$/);
});

describe('gauges read at scrape time', () => {
  test('collectors run before each scrape, until removed', async () => {
    const metrics = createMetrics(new Registry(), quiet);
    let total = 1;
    const remove = metrics.onScrape(() =>
      metrics.poolConnections.set({ pool: 'main', state: 'total' }, total),
    );
    expect((await metrics.render()).body).toContain('largesse_pool_connections{pool="main",state="total"} 1');
    total = 7;
    expect((await metrics.render()).body).toContain('state="total"} 7');
    remove();
    total = 9;
    expect((await metrics.render()).body).toContain('state="total"} 7');
  });

  test('one that fails costs its own gauges only, and is counted', async () => {
    const metrics = createMetrics(new Registry(), quiet);
    metrics.onScrape(() => Promise.reject(new Error('the database is away')));
    metrics.onScrape(() => {
      throw new Error('at once');
    });
    metrics.onScrape(() => metrics.outboxLagSeconds.set(4));
    const { body } = await metrics.render();
    expect(body).toContain('largesse_outbox_lag_seconds 4');
    expect(body).toContain('largesse_metrics_collect_failures_total 2');
  });
});
