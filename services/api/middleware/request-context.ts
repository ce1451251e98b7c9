import { randomUUID } from 'node:crypto';
import { finished } from 'node:stream/promises';
import type { Request, RequestHandler, Response } from 'express';
import { currentContext, withContext } from '../../observability/context.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Metrics } from '../../observability/metrics.ts';
import { inSpan, type Span } from '../../observability/tracing.ts';

/**
 * Gives a request its id, span and log context, and writes the one wide line about it when it has ended: the pattern
 * of the route, never the path (claim tokens), the query or a body.
 */
export function requestContext(deps: { logger: Logger; metrics: Metrics }): RequestHandler {
  return (request, response, next) => {
    const requestId = acceptedId(request.get('x-request-id')) ?? randomUUID();
    response.locals['requestId'] = requestId;
    response.setHeader('X-Request-Id', requestId);
    const parent = request.get('traceparent');
    const span = { kind: 'server', ...(parent === undefined ? {} : { parent }) } as const;
    void inSpan(request.method, span, (active) =>
      withContext({ request_id: requestId }, async () => {
        const startedAt = performance.now();
        const ended = finished(response).catch(() => 'closed by the client' as const);
        next();
        report(deps, request, response, active, { startedAt, closed: (await ended) !== undefined });
      }),
    );
  };
}

/** Never sent: it is how logs and metrics call a request whose client went away before it was answered. */
const closedByClient = 499;

export function requestIdOf(response: Response): string {
  return String(response.locals['requestId']);
}

/** Ids of other people's making go into headers, logs, rows and messages: plain and short, or replaced by ours. */
function acceptedId(given: string | undefined): string | undefined {
  return given !== undefined && /^[\w.:-]{1,128}$/.test(given) ? given : undefined;
}

function report(
  { logger, metrics }: { logger: Logger; metrics: Metrics },
  request: Request,
  response: Response,
  span: Span,
  { startedAt, closed }: { startedAt: number; closed: boolean },
): void {
  const durationMs = performance.now() - startedAt;
  const route: string | undefined = request.route?.path;
  const { method } = request;
  // Nobody was answered: the status that Express starts with would count as a success.
  const status = closed && !response.headersSent ? closedByClient : response.statusCode;
  metrics.observeHttp({ method, route, status, seconds: durationMs / 1_000 });
  span.updateName(`${method} ${route ?? 'unmatched'}`);
  span.setAttributes({
    'http.request.method': method,
    ...(route === undefined ? {} : { 'http.route': route }),
    'http.response.status_code': status,
  });
  if (quietRoutes.has(route ?? '') && status < 400) return;
  logger.info('request', {
    ...currentContext(),
    event: 'http_request',
    method,
    route: route ?? 'unmatched',
    status,
    duration_ms: Math.round(durationMs * 10) / 10,
    ...(closed && !response.writableFinished ? { closed_by_client: true } : {}),
  });
}

/** Probes come every few seconds and say nothing while they succeed. */
const quietRoutes = new Set(['/healthz', '/readyz']);
