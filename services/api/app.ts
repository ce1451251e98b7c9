import express, { type Express } from 'express';
import helmet from 'helmet';
import type { ApiDeps } from './deps.ts';
import { errorHandler, notFound } from './middleware/error-handler.ts';
import { createGuards } from './middleware/guards.ts';
import { requestContext } from './middleware/request-context.ts';
import { readQuery } from './middleware/url-encoded.ts';
import { claimRoutes } from './routes/claims/routes.ts';
import { docsRoutes } from './routes/docs/routes.ts';
import { fundingRoutes } from './routes/funding/routes.ts';
import { giftRoutes } from './routes/gifts/routes.ts';
import { healthRoutes } from './routes/health/routes.ts';
import { ledgerRoutes } from './routes/ledger/routes.ts';
import { operationsRoutes } from './routes/operations/routes.ts';

/** The HTTP edge as Express sees it. Starts nothing: `main.ts` listens, a test hands it to supertest. */
export function buildApp(deps: ApiDeps): Express {
  const app = express();
  const guards = createGuards(deps);
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', readQuery);
  app.use(requestContext(deps));
  app.use(closeWhileStopping(deps.stopping));
  app.use(secureHeaders());
  app.use(healthRoutes(deps));
  app.use(giftRoutes(deps, guards));
  app.use(claimRoutes(deps, guards));
  app.use(fundingRoutes(deps, guards));
  app.use(ledgerRoutes(deps, guards));
  app.use(operationsRoutes(deps, guards));
  app.use(docsRoutes(deps, guards));
  app.use(notFound);
  app.use(errorHandler(deps));
  return app;
}

/** Nothing may be loaded, framed or sniffed; the few pages say for themselves what they need. */
function secureHeaders(): express.RequestHandler {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] },
    },
    referrerPolicy: { policy: 'no-referrer' },
  });
}

/** A kept-alive connection would hold up the shutdown, and its next request would find nobody. */
function closeWhileStopping(stopping: AbortSignal): express.RequestHandler {
  return (_request, response, next) => {
    if (stopping.aborted) response.setHeader('Connection', 'close');
    next();
  };
}
