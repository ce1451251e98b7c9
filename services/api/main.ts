import { createServer } from 'node:http';
import { createDatabase } from '../database/client.ts';
import { findApiKey, setApiKeyHash } from '../database/queries/api-keys.ts';
import { createOutboxWriter } from '../domain/outbox.ts';
import { type Keyring, parseKeyring } from '../domain/recipients/keyring.ts';
import { checkKeyring } from '../domain/recipients/known-keys.ts';
import { usesOf } from '../domain/recipients/lookup-keys.ts';
import { databaseLog } from '../observability/database-log.ts';
import { createLogger, type DropSink, type Logger } from '../observability/logger.ts';
import { createMetrics, type Metrics } from '../observability/metrics.ts';
import { startTracing } from '../observability/tracing.ts';
import { composeMessage } from '../queue/compose-message.ts';
import { startAdminServer } from '../runtime/admin-server.ts';
import { steadyClock, systemClock, systemRandom } from '../runtime/clock.ts';
import { drainable } from '../runtime/drain-server.ts';
import { parseEnv } from '../runtime/env.ts';
import { logOptions } from '../runtime/env-variables.ts';
import { fileOfVariable } from '../runtime/file-problem.ts';
import type { Lifecycle } from '../runtime/lifecycle.ts';
import { listen } from '../runtime/listen.ts';
import { tellPlainWays } from '../runtime/plain-ways.ts';
import { runMain } from '../runtime/run-main.ts';
import { answerUsage } from '../runtime/usage.ts';
import { buildApp } from './app.ts';
import { type ApiConfig, apiEnv } from './config.ts';
import { databaseReadiness } from './database-readiness.ts';
import type { ApiDeps } from './deps.ts';
import { examineFirst } from './examine-first.ts';
import { cacheKeys } from './key-cache.ts';
import { createLedgerCheck } from './ledger-check.ts';
import { createRateLimits } from './rate-limits.ts';
import { Relay } from './relay.ts';
import { createSqsGateway } from './sqs-gateway.ts';
import { setStateGauges } from './state-gauges.ts';
import { createTimekeepers } from './timekeeper.ts';

const keyCache = { maxAgeMs: 5_000, maxEntries: 10_000, nowMs: () => performance.now() };

await runMain('api', async (lifecycle) => {
  const answered = answerUsage('node dist/api.js', []);
  if (answered !== undefined) return answered;
  await start(lifecycle);
  return undefined;
});

/** Started in the order in which things need each other; stopped in reverse. */
async function start(lifecycle: Lifecycle): Promise<void> {
  const config = parseEnv(apiEnv, process.env);
  const { logger, metrics } = await startObserving(config, lifecycle);
  const keyring = await openKeyring(config, metrics);
  const { client, db, reads, limitsClient } = openDatabase(config, { logger, metrics }, lifecycle);
  const gateway = createSqsGateway(config, { db: reads, logger, metrics, signal: lifecycle.signal });
  lifecycle.onShutdown('sqs', () => gateway.stop());
  const checkLedger = createLedgerCheck({ db: reads, metrics });
  metrics.onScrape(
    setStateGauges({ db: reads, metrics, report: gateway.report, checkLedger, clock: steadyClock }),
  );

  const outbox = createOutboxWriter({
    queue: config.GIFTS_QUEUE_NAME,
    leaseSeconds: 10,
    clock: systemClock,
    compose: composeMessage,
  });
  const { queues, send } = gateway;
  const relay = new Relay({ db, logger, metrics, queues, send, random: systemRandom });
  lifecycle.onShutdown('relay', () => relay.stop());
  const clockwork = { db, outbox, logger, metrics, random: systemRandom };
  const timekeepers = createTimekeepers({ ...clockwork, remindBeforeSeconds: config.REMIND_BEFORE_SECONDS });
  lifecycle.onShutdown('timekeepers', () => Promise.all(timekeepers.map((timekeeper) => timekeeper.stop())));

  const { onExamined } = databaseLog({ logger, metrics }, 'largesse-api');
  const ready = databaseReadiness(client, async (examination) => {
    onExamined(examination);
    await checkKeyring(db, keyring);
  });
  const deps: ApiDeps = {
    db,
    reads,
    keyring,
    findKey: cacheKeys((hash) => findApiKey(db, hash), keyCache),
    renewKeyHash: (key) =>
      setApiKeyHash(db, key).catch((error: unknown) =>
        logger.warn('a key keeps its old hash for now', { event: 'key_hash_kept', error }),
      ),
    outbox,
    publish: (rows) => relay.publish(rows),
    rateLimits: createRateLimits(limitsClient, {
      policies: budgets(config),
      onStoreFailure: (error) => noteLimiterFailure({ logger, metrics }, error),
    }),
    queues: gateway.report,
    checkLedger,
    logger,
    metrics,
    readiness: { database: ready },
    stopping: lifecycle.signal,
    settings: settings(config),
  };
  // Not only when somebody asks: what is found out must be known before the first request.
  await examineFirst(ready, { logger, lifecycle, random: systemRandom });
  relay.start();
  for (const timekeeper of timekeepers) timekeeper.start();
  await serve(deps, config, lifecycle);
}

async function openKeyring({ KEYRING_FILE: file }: ApiConfig, metrics: Metrics): Promise<Keyring> {
  const keyring = await fileOfVariable('KEYRING_FILE', file, parseKeyring);
  for (const labels of usesOf(keyring.lookup)) metrics.keyringLookupVersions.set(labels, 1);
  return keyring;
}

async function startObserving(config: ApiConfig, lifecycle: Lifecycle) {
  const metrics = createMetrics(undefined, { service: 'api' });
  const onDropped = (sink: DropSink) => metrics.logRecordsDropped.inc({ sink });
  const logger = createLogger({ service: 'api', ...logOptions(config), onDropped });
  lifecycle.configure({ log: logger, graceSeconds: config.SHUTDOWN_GRACE_SECONDS });
  lifecycle.onShutdown('log', () => logger.close());
  const stopTracing = await startTracing({
    serviceName: config.OTEL_SERVICE_NAME ?? 'largesse-api',
    endpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT,
    onError: (error) => logger.warn('spans could not be exported', { event: 'export_failed', error }),
  });
  lifecycle.onShutdown('tracing', stopTracing);
  tellPlainWays(logger, config);
  return { logger, metrics };
}

/** The limiter has two connections of its own, so that a queue for the others doesn't look like a hung store to it. */
function openDatabase(
  config: ApiConfig,
  { logger, metrics }: { logger: Logger; metrics: Metrics },
  lifecycle: Lifecycle,
) {
  const open = (applicationName: string, poolMax: number) => {
    const client = createDatabase({
      connectionString: config.DATABASE_URL,
      poolMax,
      prepareStatements: config.DATABASE_PREPARED_STATEMENTS,
      applicationName,
      ...databaseLog({ logger, metrics }, applicationName),
    });
    lifecycle.onShutdown(`database (${applicationName})`, () => client.db.destroy());
    metrics.onScrape(() => {
      const { totalCount, idleCount, waitingCount } = client.pool;
      for (const [state, count] of Object.entries({
        total: totalCount,
        idle: idleCount,
        waiting: waitingCount,
      })) {
        metrics.poolConnections.set({ pool: applicationName, state }, count);
      }
    });
    return client;
  };
  const client = open('largesse-api', config.DATABASE_POOL_MAX);
  const { db, reads } = client;
  return { client, db, reads, limitsClient: open('largesse-api-limits', 2) };
}

function budgets(config: ApiConfig) {
  const perMinute = (quota: number) => ({ quota, windowSeconds: 60 });
  return {
    ip: perMinute(config.RATE_LIMIT_IP_PER_MINUTE),
    key: perMinute(config.RATE_LIMIT_KEY_PER_MINUTE),
    claim: perMinute(config.RATE_LIMIT_CLAIM_PER_MINUTE),
  };
}

function settings(config: ApiConfig): ApiDeps['settings'] {
  return {
    publicUrl: config.PUBLIC_URL,
    trustProxy: config.TRUST_PROXY,
    resendCooldownSeconds: config.RESEND_COOLDOWN_SECONDS,
    resendLimit: config.RESEND_LIMIT,
  };
}

function noteLimiterFailure({ logger, metrics }: { logger: Logger; metrics: Metrics }, error: unknown): void {
  metrics.rateLimiterFailures.inc();
  logger.warn('budgets are kept in memory for a moment', { event: 'rate_limit_store_failed', error });
}

async function serve(deps: ApiDeps, config: ApiConfig, lifecycle: Lifecycle): Promise<void> {
  const { logger, metrics, readiness } = deps;
  const at = config.HOST === undefined ? {} : { host: config.HOST };
  const admin = await startAdminServer(
    {
      metrics: metrics.render,
      readiness,
      onReadiness: (check, ok) => metrics.readinessOk.set({ check }, ok ? 1 : 0),
      stopping: lifecycle.signal,
    },
    { port: config.METRICS_PORT, ...at },
  );
  lifecycle.onShutdown('metrics', () => admin.close());
  const server = createServer(buildApp(deps));
  const drain = drainable(server);
  // Longer than a load balancer keeps its connections (60 s), or it would send a request into a closing one.
  server.keepAliveTimeout = 65_000;
  server.requestTimeout = 30_000;
  const port = await listen(server, { port: config.PORT, variable: 'PORT', ...at });
  // A client that never ends its request must leave time for all that is stopped after it.
  lifecycle.onShutdown('http', drain, (config.SHUTDOWN_GRACE_SECONDS * 1_000 * 2) / 3);
  logger.info('listening', { event: 'started', port, metrics_port: admin.port });
}
