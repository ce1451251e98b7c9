import { expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { createQueueObserver } from '../../../services/consumer/queue-telemetry.ts';
import { createReport } from '../../../services/consumer/report.ts';
import type { DatabaseFault } from '../../../services/database/errors.ts';
import type { Channel, FailureClass } from '../../../services/database/states.ts';
import { databaseLog } from '../../../services/observability/database-log.ts';
import { createLogger, type DropSink } from '../../../services/observability/logger.ts';
import { createMetrics } from '../../../services/observability/metrics.ts';
import { COUNTED } from '../../../services/observability/start-at-zero.ts';

/** The types know every value; a new one makes this file fail to compile until it is counted, too. */
const every = {
  class: { transient: 1, permanent: 1, poison: 1, unknown: 1 } satisfies Record<FailureClass, 1>,
  fault: { row: 1, suspect: 1, busy: 1, session: 1, away: 1, foreign: 1 } satisfies Record<DatabaseFault, 1>,
  sink: { stream: 1, file: 1, record: 1 } satisfies Record<DropSink, 1>,
  recipient_type: { email: 1, wallet: 1 } satisfies Record<Channel, 1>,
};

test('P164: counters stand at 0 for every value that their labels can have', () => {
  const all = Object.values(COUNTED).flatMap((role) =>
    Object.values<Record<string, readonly string[]>>(role).flatMap((labels) => Object.entries(labels)),
  );
  for (const [label, values] of Object.entries(every)) {
    const counted = all.filter(([name]) => name === label);
    expect(counted.length).toBeGreaterThan(0);
    for (const [, found] of counted) expect([...found].sort()).toEqual(Object.keys(values).sort());
  }
});

const logger = createLogger({ service: 'test', level: 'error' });

test('P164: the first failure after a start is an increase, and no new series', async () => {
  const metrics = createMetrics(new Registry(), { service: 'consumer', processMetrics: false });
  createQueueObserver({ metrics, log: logger }, 'largesse-gifts');
  databaseLog({ logger, metrics }, 'largesse-consumer');
  const series = async () =>
    [...(await metrics.render()).body.matchAll(/^([^#\s{]+(?:\{[^}]*\})?) \S+$/gm)].map(([, one]) => one);
  const before = await series();
  const report = createReport({ metrics, log: logger });
  const message = { messageId: 'm', body: '', receiveCount: 1, sentAt: new Date() };
  report(
    message as Parameters<typeof report>[0],
    {
      result: 'dead_letter',
      class: 'permanent',
      outcome: { kind: 'dead-letter', class: 'permanent', reason: 'mailbox_unknown' },
    },
    5,
  );
  metrics.leasesLost.inc({ queue: 'largesse-gifts' });
  metrics.databaseNotes.inc({ pool: 'largesse-consumer', event: 'sessions_discarded' });
  expect(await series()).toEqual(before);
  const { body } = await metrics.render();
  expect(body).toContain('largesse_gifts_dead_lettered_total{class="permanent",service="consumer"} 1');
});

test('P164: the first accept that fails is an increase, too', async () => {
  const metrics = createMetrics(new Registry(), { service: 'api', processMetrics: false });
  const count = async () =>
    (await metrics.render()).body.match(
      /^largesse_http_request_seconds_count\{.*status="500".*\} (\d+)$/m,
    )?.[1];
  expect(await count()).toBe('0');
  metrics.observeHttp({ method: 'POST', route: '/v1/gifts', status: 500, seconds: 0.01 });
  expect(await count()).toBe('1');
});
