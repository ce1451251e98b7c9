import { createDatabase, type DatabaseClient } from '../database/client.ts';
import { examineDatabase } from '../database/examine.ts';
import { parseKeyring } from '../domain/recipients/keyring.ts';
import { checkKeyring, KeyringMismatch } from '../domain/recipients/known-keys.ts';
import { usesOf } from '../domain/recipients/lookup-keys.ts';
import { databaseLog } from '../observability/database-log.ts';
import { createLogger, type DropSink, type Logger } from '../observability/logger.ts';
import { createMetrics, type Metrics } from '../observability/metrics.ts';
import { startTracing } from '../observability/tracing.ts';
import { type QueueInfo, waitForQueue } from '../queue/provision.ts';
import { maxReceiveCountFor } from '../queue/queue-settings.ts';
import { createQueueClients, type QueueClients } from '../queue/sqs.ts';
import { systemRandom } from '../runtime/clock.ts';
import { EnvironmentError } from '../runtime/env.ts';
import { logOptions } from '../runtime/env-variables.ts';
import { fileOfVariable } from '../runtime/file-problem.ts';
import type { Lifecycle } from '../runtime/lifecycle.ts';
import { tellPlainWays } from '../runtime/plain-ways.ts';
import { runMain } from '../runtime/run-main.ts';
import { answerUsage } from '../runtime/usage.ts';
import { startAdmin } from './admin.ts';
import { type ConsumerConfig, readConfig } from './config.ts';
import { buildGiftsConsumer, type GiftsConsumer } from './gifts-consumer.ts';
import { waitForSchema } from './wait-for-schema.ts';

await runMain('consumer', async (lifecycle) => {
  const answered = answerUsage('node dist/consumer.js gifts', ['gifts']);
  if (answered !== undefined) return answered;
  await serve(lifecycle, readConfig(process.env));
  return undefined;
});

type Parts = {
  config: ConsumerConfig;
  log: Logger;
  metrics: Metrics;
  database: DatabaseClient;
  clients: QueueClients;
};

/** Started in the order in which things need each other; stopped in reverse. */
async function serve(lifecycle: Lifecycle, config: ConsumerConfig): Promise<void> {
  const metrics = createMetrics(undefined, { service: 'consumer' });
  const log = openLog(lifecycle, config, metrics);
  tellPlainWays(log, config);
  const stopTracing = await startTracing({
    serviceName: config.OTEL_SERVICE_NAME ?? 'largesse-consumer',
    endpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT,
    onError: (error) => log.warn('spans could not be exported', { event: 'export_failed', error }),
  });
  lifecycle.onShutdown('tracing', stopTracing);
  const keyring = await fileOfVariable('KEYRING_FILE', config.KEYRING_FILE, parseKeyring);
  for (const labels of usesOf(keyring.lookup)) metrics.keyringLookupVersions.set(labels, 1);
  const parts = { config, log, metrics, ...openConnections(lifecycle, config, { log, metrics }) };
  let consumer: GiftsConsumer | undefined;
  const admin = await startAdmin(
    {
      ...parts,
      queueName: config.GIFTS_QUEUE_NAME,
      consumer: () => consumer,
      stopping: lifecycle.signal,
    },
    { port: config.METRICS_PORT, host: config.HOST },
  );
  lifecycle.onShutdown('admin server', admin.close);
  log.info('listening', { event: 'admin_listening', port: admin.port });
  await waitForSchema(parts.database, { log, signal: lifecycle.signal, random: systemRandom });
  await checkKeyring(parts.database.db, keyring).catch(refuseToStart);
  databaseLog({ logger: log, metrics }, 'largesse-consumer').onExamined(
    await examineDatabase(parts.database),
  );
  const queue = await findQueue(lifecycle, parts);
  consumer = buildGiftsConsumer({
    ...parts,
    queue,
    findQueueAgain: () => findQueue(lifecycle, parts),
    keyring,
    stopping: lifecycle.signal,
    random: systemRandom,
  });
  lifecycle.onShutdown('consumer', consumer.stop);
  consumer.start();
  log.info('consuming', {
    event: 'consumer_started',
    queue: queue.name,
    max_in_flight: config.MAX_IN_FLIGHT,
    limitations: queue.limitations,
  });
}

function refuseToStart(error: unknown): never {
  if (!(error instanceof KeyringMismatch)) throw error;
  throw new EnvironmentError([{ variable: 'KEYRING_FILE', problem: error.message, remedy: undefined }]);
}

function openLog(lifecycle: Lifecycle, config: ConsumerConfig, metrics: Metrics): Logger {
  const onDropped = (sink: DropSink) => metrics.logRecordsDropped.inc({ sink });
  const log = createLogger({ service: 'consumer', ...logOptions(config), onDropped });
  lifecycle.configure({ log, graceSeconds: config.SHUTDOWN_GRACE_SECONDS });
  lifecycle.onShutdown('log', () => log.close());
  return log;
}

function openConnections(
  lifecycle: Lifecycle,
  config: ConsumerConfig,
  { log, metrics }: Pick<Parts, 'log' | 'metrics'>,
): Pick<Parts, 'database' | 'clients'> {
  const database = createDatabase({
    connectionString: config.DATABASE_URL,
    poolMax: config.DATABASE_POOL_MAX,
    prepareStatements: config.DATABASE_PREPARED_STATEMENTS,
    applicationName: 'largesse-consumer',
    ...databaseLog({ logger: log, metrics }, 'largesse-consumer'),
  });
  lifecycle.onShutdown('database', () => database.db.destroy());
  const clients = createQueueClients({
    region: config.AWS_REGION,
    ...(config.AWS_ENDPOINT_URL_SQS === undefined ? {} : { endpoint: config.AWS_ENDPOINT_URL_SQS }),
    onRequest: (operation, { ok }) =>
      metrics.sqsRequests.inc({ operation, outcome: ok ? 'success' : 'error' }),
  });
  lifecycle.onShutdown('queue clients', clients.destroy);
  return { database, clients };
}

function findQueue(lifecycle: Lifecycle, { clients, config, log }: Parts): Promise<QueueInfo> {
  return waitForQueue(
    clients,
    {
      name: config.GIFTS_QUEUE_NAME,
      deadLetterName: `${config.GIFTS_QUEUE_NAME}-dlq`,
      visibilityTimeoutSeconds: config.VISIBILITY_TIMEOUT_SECONDS,
      maxReceiveCount: maxReceiveCountFor(config.MAX_RETRY_COUNT),
      mode: config.QUEUE_PROVISIONING,
    },
    {
      signal: lifecycle.signal,
      random: systemRandom,
      onProblem: (error, nextTryMs) =>
        log.error('the queue is not usable; trying again', {
          event: 'queue_not_ready',
          error,
          next_try_ms: nextTryMs,
        }),
    },
  );
}
