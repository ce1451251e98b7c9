import { createDatabase } from '../database/client.ts';
import { examineDatabase } from '../database/examine.ts';
import { readDatabaseTime } from '../database/queries/database-time.ts';
import { newUuid } from '../domain/ids.ts';
import { createOutboxWriter } from '../domain/outbox.ts';
import { databaseLog } from '../observability/database-log.ts';
import { createLogger, type Logger } from '../observability/logger.ts';
import { startTracing } from '../observability/tracing.ts';
import { composeMessage } from '../queue/compose-message.ts';
import { createQueueClients } from '../queue/sqs.ts';
import { systemClock } from '../runtime/clock.ts';
import { logOptions } from '../runtime/env-variables.ts';
import type { Lifecycle } from '../runtime/lifecycle.ts';
import { runMain } from '../runtime/run-main.ts';
import { type Arguments, parseArguments, usage } from './arguments.ts';
import { type ReconcilerConfig, readConfig } from './config.ts';
import { assertMigrated } from './database-ready.ts';
import { explainFailure } from './failures.ts';
import { openAccess } from './kubernetes/access.ts';
import type { ClusterOptions } from './kubernetes/open-cluster.ts';
import { policyFile } from './policy-source.ts';
import type { ReconcilerDeps } from './run.ts';
import { countOn } from './run-clock.ts';
import { runInCluster } from './run-in-cluster.ts';
import { type RunPoliciesOptions, runPolicies } from './run-policies.ts';
import { exitCodes } from './run-report.ts';
import { unpark } from './unpark.ts';

await runMain('reconciler', async (lifecycle) => {
  const args = readArguments(process.argv.slice(2));
  if (args === null || args.help) {
    process[args === null ? 'stderr' : 'stdout'].write(usage);
    return args === null ? exitCodes.needs_person : exitCodes.converged;
  }
  return runOnce(lifecycle, args, readConfig(process.env));
});

function readArguments(argv: readonly string[]): Arguments | null {
  try {
    return parseArguments(argv);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n`);
    return null;
  }
}

async function runOnce(lifecycle: Lifecycle, args: Arguments, config: ReconcilerConfig): Promise<number> {
  const log = openLog(lifecycle, config);
  const deps = await openConnections(lifecycle, config, log);
  const run = reconcileAll(deps, args, config, lifecycle.signal);
  // A signal ends the run at its next batch; what it uses must stay open until then. Whether it failed is told by the
  // promise returned here: the shutdown only waits for its end.
  lifecycle.onShutdown('run', () => run.catch(() => undefined));
  return run;
}

async function reconcileAll(
  deps: ReconcilerDeps,
  args: Arguments,
  config: ReconcilerConfig,
  signal: AbortSignal,
): Promise<number> {
  const explain = (error: unknown) =>
    explainFailure(error, { databaseUrl: config.DATABASE_URL, sqsEndpoint: config.AWS_ENDPOINT_URL_SQS });
  const isPretty = (config.LOG_FORMAT ?? (process.stdout.isTTY ? 'pretty' : 'json')) === 'pretty';
  const options: RunPoliciesOptions = {
    queueNames: { gifts: config.GIFTS_QUEUE_NAME },
    dryRun: args.dryRun,
    release: args.release,
    signal,
    explain,
    clock: systemClock,
    print: isPretty ? (text) => process.stdout.write(text) : null,
  };
  try {
    if (args.unpark !== null) {
      await assertMigrated(deps.db);
      return await unpark(deps, args.unpark, config.GIFTS_QUEUE_NAME);
    }
    if (args.policyFile === undefined && config.DEAD_LETTER_POLICY_SOURCE === 'kubernetes')
      return await runInCluster(deps, await clusterOptions(deps, config, signal), options);
    const source = policyFile(args.policyFile ?? config.DEAD_LETTER_POLICY_FILE);
    return await runPolicies(deps, await source.load(), options);
  } catch (error) {
    const failure = explain(error);
    if (failure === null) throw error;
    deps.log.error(failure.message, { event: failure.event, ...failure.fields });
    return exitCodes[failure.outcome];
  }
}

async function clusterOptions(
  { log }: ReconcilerDeps,
  config: ReconcilerConfig,
  signal: AbortSignal,
): Promise<ClusterOptions> {
  return {
    access: await openAccess({
      kubeconfig: config.KUBECONFIG,
      service: { host: config.KUBERNETES_SERVICE_HOST, port: config.KUBERNETES_SERVICE_PORT },
    }),
    leaseName: config.RECONCILER_LEASE_NAME,
    selector: config.DEAD_LETTER_POLICY_SELECTOR,
    policyWaitSeconds: config.DEAD_LETTER_POLICY_WAIT_SECONDS,
    runId: newUuid(),
    log,
    signal,
  };
}

function openLog(lifecycle: Lifecycle, config: ReconcilerConfig): Logger {
  const log = createLogger({ service: 'reconciler', ...logOptions(config) });
  lifecycle.configure({ log, graceSeconds: config.SHUTDOWN_GRACE_SECONDS });
  lifecycle.onShutdown('log', () => log.close());
  return log;
}

async function openConnections(
  lifecycle: Lifecycle,
  config: ReconcilerConfig,
  log: Logger,
): Promise<ReconcilerDeps> {
  const stopTracing = await startTracing({
    serviceName: config.OTEL_SERVICE_NAME ?? 'largesse-reconciler',
    endpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT,
    onError: (error) => log.warn('spans could not be exported', { event: 'export_failed', error }),
  });
  lifecycle.onShutdown('tracing', stopTracing);
  const database = createDatabase({
    connectionString: config.DATABASE_URL,
    poolMax: config.DATABASE_POOL_MAX,
    prepareStatements: config.DATABASE_PREPARED_STATEMENTS,
    applicationName: 'largesse-reconciler',
    ...databaseLog({ logger: log }, 'largesse-reconciler'),
  });
  const { db } = database;
  lifecycle.onShutdown('database', () => db.destroy());
  // What fails here fails in the run as well, which says so.
  const examination = await examineDatabase(database).catch(() => null);
  if (examination) databaseLog({ logger: log }, 'largesse-reconciler').onExamined(examination);
  const clients = createQueueClients({
    region: config.AWS_REGION,
    ...(config.AWS_ENDPOINT_URL_SQS === undefined ? {} : { endpoint: config.AWS_ENDPOINT_URL_SQS }),
  });
  lifecycle.onShutdown('queue clients', clients.destroy);
  const outbox = createOutboxWriter({
    queue: config.GIFTS_QUEUE_NAME,
    leaseSeconds: 0,
    clock: systemClock,
    compose: composeMessage,
  });
  const silence = { retryCapMs: config.RETRY_CAP_MS, leaseSeconds: config.LEASE_SECONDS };
  const openClock = async () => countOn(await readDatabaseTime(db));
  return { db, clients, outbox, log, openClock, silence };
}
