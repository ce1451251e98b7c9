import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { listen } from './listen.ts';

/** Throws when not ready. `signal` aborts when its time is up. */
export type ReadinessCheck = (signal: AbortSignal) => unknown;

/** "Progress or idle": false only when there is work and nothing moves, which a restart can cure. */
export type LivenessCheck = () => { readonly ok: boolean };

export interface AdminServerDeps {
  /** The Prometheus exposition; absent, /metrics answers 404. */
  readonly metrics?: () => Promise<{ readonly contentType: string; readonly body: string }>;
  readonly liveness?: Readonly<Record<string, LivenessCheck>>;
  readonly readiness?: Readonly<Record<string, ReadinessCheck>>;
  /** Told at each scrape how each check of readiness stands: probes see it, and nobody else does. */
  readonly onReadiness?: (check: string, ok: boolean) => void;
  /** Once aborted, /readyz says no, so that a load balancer sends nothing more while the process drains. */
  readonly stopping?: AbortSignal;
}

export interface AdminServerOptions {
  /** 0 takes any free port. */
  readonly port: number;
  readonly host?: string | undefined;
  readonly checkTimeoutMs?: number;
}

export interface AdminServer {
  readonly port: number;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Below the probe time-out of the chart (3 s), so that the kubelet sees which check failed, not a time-out. */
const CHECK_TIMEOUT_MS = 2_000;

/** Serves /metrics, /healthz and /readyz for the cluster, apart from the public port. */
export async function startAdminServer(
  deps: AdminServerDeps,
  options: AdminServerOptions,
): Promise<AdminServer> {
  const checkTimeoutMs = options.checkTimeoutMs ?? CHECK_TIMEOUT_MS;
  const server = createServer((request, response) => void serve(deps, checkTimeoutMs, request, response));
  const port = await listen(server, { ...options, variable: 'METRICS_PORT' });
  return {
    port,
    close: () => close(server),
  };
}

/** Readiness as data, also for the public /readyz of the API. Never rejects. */
export async function checkReadiness(
  deps: Pick<AdminServerDeps, 'readiness' | 'stopping'>,
  checkTimeoutMs = CHECK_TIMEOUT_MS,
): Promise<{ ok: boolean; checks: Record<string, CheckResult> }> {
  const named = Object.entries(deps.readiness ?? {});
  const results = await Promise.all(
    named.map(async ([name, check]) => [name, await runCheck(check, checkTimeoutMs)] as const),
  );
  if (deps.stopping?.aborted) results.push(['process', { ok: false, reason: 'stopping', duration_ms: 0 }]);
  return { ok: results.every(([, result]) => result.ok), checks: Object.fromEntries(results) };
}

async function tellReadiness(
  { onReadiness, ...deps }: AdminServerDeps,
  checkTimeoutMs: number,
): Promise<void> {
  if (onReadiness === undefined) return;
  const { checks } = await checkReadiness(deps, checkTimeoutMs);
  for (const [check, { ok }] of Object.entries(checks)) onReadiness(check, ok);
}

export interface CheckResult {
  readonly ok: boolean;
  /** The code or name of the error; its message may hold what a stranger must not read. */
  readonly reason?: string;
  readonly duration_ms: number;
}

async function runCheck(check: ReadinessCheck, timeoutMs: number): Promise<CheckResult> {
  const startedAt = performance.now();
  const finished = new AbortController();
  const late = new AbortController();
  const took = () => Math.round(performance.now() - startedAt);
  const tooLate = async (): Promise<CheckResult> => {
    await delay(timeoutMs, undefined, { signal: finished.signal });
    late.abort();
    return { ok: false, reason: `no answer in ${timeoutMs} ms`, duration_ms: took() };
  };
  const run = async (): Promise<CheckResult> => {
    await check(late.signal);
    return { ok: true, duration_ms: took() };
  };
  try {
    return await Promise.race([run(), tooLate()]);
  } catch (error) {
    return { ok: false, reason: nameOf(error), duration_ms: took() };
  } finally {
    finished.abort();
  }
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

async function serve(
  deps: AdminServerDeps,
  checkTimeoutMs: number,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const answer = await route(deps, checkTimeoutMs, request).catch((error: unknown) =>
    json(500, { status: 'error', reason: nameOf(error) }),
  );
  response.writeHead(answer.status, { 'content-type': answer.contentType, 'cache-control': 'no-store' });
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

async function route(
  deps: AdminServerDeps,
  checkTimeoutMs: number,
  request: IncomingMessage,
): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return json(405, { status: 'method not allowed' });
  switch (request.url?.split('?')[0]) {
    case '/metrics':
      if (deps.metrics === undefined) return json(404, { status: 'not found' });
      await tellReadiness(deps, checkTimeoutMs);
      return { status: 200, ...(await deps.metrics()) };
    case '/healthz': {
      const named = Object.entries(deps.liveness ?? {}).map(([name, check]) => [name, check()] as const);
      return verdict({ ok: named.every(([, { ok }]) => ok), checks: Object.fromEntries(named) });
    }
    case '/readyz':
      return verdict(await checkReadiness(deps, checkTimeoutMs));
    default:
      return json(404, { status: 'not found' });
  }
}

function verdict({ ok, checks }: { ok: boolean; checks: object }): Answer {
  return json(ok ? 200 : 503, { status: ok ? 'ok' : 'unavailable', checks });
}

function json(status: number, body: object): Answer {
  return { status, contentType: 'application/json', body: `${JSON.stringify(body)}\n` };
}

function close(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
    // Prometheus keeps its connection alive between scrapes: waiting for it would take the whole grace period.
    server.closeAllConnections();
  });
}
