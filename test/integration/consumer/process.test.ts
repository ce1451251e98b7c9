import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createDatabase } from '../../../services/database/client.ts';
import { migrate } from '../../../services/database/migrate.ts';
import { createEmptyDatabase, serverUrl, withDatabaseName } from '../../support/database.ts';
import { eventually } from '../../support/eventually.ts';
import { callSqs } from '../../support/queue-pair.ts';
import { killRoles, startRole } from '../../support/role-process.ts';
import { type SpanCollector, startSpanCollector } from '../crash/span-collector.ts';
import { acceptOverHttp, createSystem, giftBody, type System } from '../crash/system.ts';

let system: System;
let spans: SpanCollector;

beforeAll(async () => {
  [system, spans] = await Promise.all([createSystem(), startSpanCollector()]);
}, 60_000);

afterEach(async () => {
  system.consumerProxy.heal();
  await killRoles();
});

afterAll(async () => {
  await system.end();
  await spans.stop();
});

const get = async (metricsUrl: string, path: string) => {
  const answer = await fetch(new URL(path, metricsUrl));
  return { status: answer.status, text: await answer.text() };
};

describe('the environment', () => {
  test('is refused with all problems at once, and exit code 2', async () => {
    const consumer = startRole('consumer', ['gifts'], { AWS_REGION: 'eu-central-1', LEASE_SECONDS: 'long' });
    expect(await consumer.ended).toBe(2);
    for (const variable of ['DATABASE_URL', 'KEYRING_FILE', 'SMTP_URL', 'MAIL_FROM', 'LEASE_SECONDS']) {
      expect(consumer.output()).toContain(`${variable}: `);
    }
  });

  test('names a queue, or the usage is printed', async () => {
    const consumer = startRole('consumer', ['parcels'], {});
    expect(await consumer.ended).toBe(2);
    expect(consumer.output()).toContain('usage: node dist/consumer.js gifts');
  });
});

describe('a schema that is older', () => {
  test('is told and waited for, and nothing is consumed before it is ours', async () => {
    const name = `largesse_unmigrated_${process.pid}`;
    await createEmptyDatabase(serverUrl(), name);
    const databaseUrl = withDatabaseName(serverUrl(), name);
    const consumer = await system.startWaitingConsumer({ DATABASE_URL: databaseUrl });
    const told = await consumer.logged('database_not_ready');
    expect(told).toMatchObject({ level: 'warn', pending_migrations: expect.any(Array) });
    expect((await get(consumer.metricsUrl, '/healthz')).status).toBe(200);
    expect((await get(consumer.metricsUrl, '/readyz')).status).toBe(503);
    expect(consumer.lines().some((line) => line['event'] === 'consumer_started')).toBe(false);

    const { db } = createDatabase({
      connectionString: databaseUrl,
      poolMax: 1,
      applicationName: 'largesse-test',
    });
    await migrate(db);
    await db.destroy();
    await consumer.logged('consumer_started');
    expect(await consumer.stop()).toBe(0);
    await system.database.pool.query(`drop database ${name} with (force)`);
  }, 60_000);
});

describe('a queue that is missing or wrong', () => {
  test('is told clearly and waited for, alive and not ready, and used as soon as it is right', async () => {
    const { emulator } = system;
    const name = `${system.queueName}-late`;
    const env = { GIFTS_QUEUE_NAME: name, QUEUE_PROVISIONING: 'verify' };
    const consumer = await system.startWaitingConsumer(env);
    const toldOf = (problem: string) =>
      eventually(
        () => {
          const told = consumer.lines().filter((line) => line['event'] === 'queue_not_ready');
          expect(JSON.stringify(told)).toContain(problem);
        },
        { timeoutMs: 20_000 },
      );
    await toldOf('does not exist: create it, or start with QUEUE_PROVISIONING=create');
    expect((await get(consumer.metricsUrl, '/healthz')).status).toBe(200);
    expect(await get(consumer.metricsUrl, '/readyz')).toMatchObject({
      status: 503,
      text: expect.stringContaining('queue_not_reached'),
    });

    const create = (queueName: string, attributes: Record<string, string>) =>
      callSqs(emulator, 'CreateQueue', { QueueName: queueName, Attributes: attributes });
    await create(`${name}-dlq`, { MessageRetentionPeriod: '1209600' });
    const { QueueUrl } = await create(name, { VisibilityTimeout: '7' });
    await toldOf('VisibilityTimeout is 7, must be 5');

    const deadLetterTargetArn = `arn:aws:sqs:${emulator.region}:000000000000:${name}-dlq`;
    await callSqs(emulator, 'SetQueueAttributes', {
      QueueUrl,
      Attributes: {
        VisibilityTimeout: '5',
        RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 20 }),
      },
    });
    await consumer.logged('consumer_started');
    await eventually(async () => expect((await get(consumer.metricsUrl, '/readyz')).status).toBe(200));
    expect(await consumer.stop()).toBe(0);
  }, 90_000);

  test('does not stand in the way of a shutdown', async () => {
    const env = { GIFTS_QUEUE_NAME: `${system.queueName}-never`, QUEUE_PROVISIONING: 'verify' };
    const consumer = await system.startWaitingConsumer(env);
    await consumer.logged('queue_not_ready');
    expect(await consumer.stop()).toBe(0);
  });
});

describe('a running consumer', () => {
  test('is alive, ready, measured and traced, and leaves with exit code 0 on SIGTERM', async () => {
    const tracing = { OTEL_EXPORTER_OTLP_ENDPOINT: spans.endpoint };
    const api = await system.startApi(tracing);
    const consumer = await system.startConsumer(tracing);
    const [id] = await acceptOverHttp(api, system.sender, [giftBody(1)]);
    const line = await eventually(() => {
      const found = consumer.lines().find((entry) => entry['gift_id'] === id);
      expect(found).toMatchObject({ event: 'message_handled', result: 'delivered' });
      return found;
    });
    expect((await get(consumer.metricsUrl, '/healthz')).status).toBe(200);
    expect(await get(consumer.metricsUrl, '/readyz')).toMatchObject({ status: 200 });
    const { text: metrics } = await get(consumer.metricsUrl, '/metrics');
    for (const [name, labels, value] of [
      ['gifts_processed_total', ['outcome="delivered"'], '1'],
      ['gift_processing_seconds_count', ['outcome="delivered"'], '1'],
      ['message_age_seconds_count', [`queue="${system.queueName}"`], '1'],
      ['mails_sent_total', ['outcome="sent"'], '1'],
      ['sqs_requests_total', ['operation="ReceiveMessage"', 'outcome="success"'], '[1-9]'],
      ['messages_in_flight', [`queue="${system.queueName}"`], '0'],
      ['pool_connections', ['pool="main"', 'state="total"'], '[1-9]'],
    ] as const) {
      const lines = metrics.split('\n').filter((found) => found.startsWith(`largesse_${name}{`));
      const matching = lines.filter((found) => labels.every((label) => found.includes(label)));
      expect({ name, lines: matching }).toEqual({
        name,
        lines: [expect.stringMatching(new RegExp(`\\} ${value}`))],
      });
    }
    const accepted = api.lines().find((entry) => entry['gift_id'] === id);
    expect(line?.['request_id']).toBe(accepted?.['request_id']);
    expect(await consumer.stop()).toBe(0);
    expect(await api.stop()).toBe(0);
    expectTrace(line?.['trace_id']);
  }, 60_000);

  test('that can not reach its queue is not ready, and ready again when it can', async () => {
    const consumer = await system.startConsumer();
    await eventually(async () => expect((await get(consumer.metricsUrl, '/readyz')).status).toBe(200));
    await system.consumerProxy.goDown();
    await eventually(
      async () => expect((await get(consumer.metricsUrl, '/readyz')).text).toContain('queue_not_reached'),
      { timeoutMs: 15_000 },
    );
    expect((await get(consumer.metricsUrl, '/healthz')).status).toBe(200);
    await system.consumerProxy.comeBack();
    await eventually(async () => expect((await get(consumer.metricsUrl, '/readyz')).status).toBe(200), {
      timeoutMs: 20_000,
    });
    expect(await consumer.stop()).toBe(0);
  }, 60_000);
});

/** The mail is a client span below the processing of its message, which links to the request that created it. */
function expectTrace(traceId: unknown): void {
  const all = spans.spans();
  const mail = all.find(({ name }) => name === 'send mail');
  const processing = all.find(({ spanId }) => spanId === mail?.parentSpanId);
  expect(mail).toMatchObject({ kind: 3, traceId });
  expect(processing).toMatchObject({ name: `process ${system.queueName}`, kind: 5, traceId });
  const created = processing?.links?.[0];
  expect(all.some((span) => span.traceId === created?.traceId && span.spanId === created?.spanId)).toBe(true);
}
