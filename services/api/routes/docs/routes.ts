import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import express, { type RequestHandler, Router } from 'express';
import type { ApiDeps } from '../../deps.ts';
import { methodNotAllowed } from '../../middleware/error-handler.ts';
import type { Guards } from '../../middleware/guards.ts';
import { sendIndex } from './index-page.ts';
import { openApiDocument } from './openapi.ts';
import { startScript } from './start-script.ts';

export function docsRoutes({ settings }: ApiDeps, { limit }: Guards): Router {
  const router = Router();
  const document = JSON.stringify(openApiDocument(settings.publicUrl));
  const sendDocument: RequestHandler = (_request, response) => {
    response.type('json').send(document);
  };
  router.route('/').get(limit.ip, sendIndex).all(methodNotAllowed('GET'));
  router.route('/openapi.json').get(limit.ip, sendDocument).all(methodNotAllowed('GET'));
  router.route('/docs').get(limit.ip, docsPolicy, sendDocs).all(methodNotAllowed('GET'));
  router.get('/docs/start.js', sendStart);
  router.use(
    '/docs',
    docsPolicy,
    wholeOnly,
    express.static(swaggerUiFolder(), { index: false, maxAge: '1d' }),
  );
  return router;
}

/** Beside a bundle its build puts the files; beside sources they are where npm put them. */
function swaggerUiFolder(): string {
  const bundled = join(import.meta.dirname, 'swagger-ui');
  if (existsSync(bundled)) return bundled;
  return dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
}

/** Parts and conditions that files of this kind need nobody to ask for: refused by the library, they would be no words of ours. */
const wholeOnly: RequestHandler = (request, _response, next) => {
  for (const name of ['range', 'if-match', 'if-unmodified-since']) delete request.headers[name];
  next();
};

/** Swagger UI sets style attributes of its own; scripts come from here alone. */
const docsPolicy: RequestHandler = (_request, response, next) => {
  response.setHeader(
    'Content-Security-Policy',
    [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self' 'unsafe-inline'",
      "img-src 'self' data:",
      "connect-src 'self'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'none'",
    ].join('; '),
  );
  next();
};

const sendDocs: RequestHandler = (_request, response) => {
  response.type('html').send(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Largesse API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<noscript>This page needs a script; <a href="/openapi.json">the document itself</a> does not.</noscript>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`);
};

const sendStart: RequestHandler = (_request, response) => {
  response.type('text/javascript').send(startScript);
};
