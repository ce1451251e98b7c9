import { createDocument } from 'zod-openapi';
import { claimPaths } from '../claims/openapi.ts';
import { fundingPaths } from '../funding/openapi.ts';
import { giftPaths } from '../gifts/openapi.ts';
import { operationsPaths } from '../operations/openapi.ts';
import { describe } from './describe.ts';
import { indexSchema } from './index-page.ts';

/** The OpenAPI 3.1 document, made from the schemas that the routes validate with. */
export function openApiDocument(publicUrl: string) {
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Largesse',
      version: '1',
      description:
        'Send vouchers as gifts. Money is integer minor units; every POST that moves value needs an Idempotency-Key; errors are RFC 9457 problem details with a stable `code`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: publicUrl }],
    components: {
      securitySchemes: {
        apiKey: { type: 'http', scheme: 'bearer', description: 'An API key, `lgk_…`' },
      },
    },
    paths: { ...giftPaths, ...claimPaths, ...fundingPaths, ...operationsPaths, ...docsPaths },
  });
}

const docsPaths = {
  '/': {
    get: describe({
      id: 'getIndex',
      summary: 'Where everything is',
      tag: 'Documentation',
      roles: null,
      answers: { 200: { description: 'Links; a page for those who ask for one', schema: indexSchema } },
      problems: [],
    }),
  },
  '/openapi.json': {
    get: describe({
      id: 'getOpenApi',
      summary: 'This document',
      tag: 'Documentation',
      roles: null,
      answers: { 200: { description: 'OpenAPI 3.1' } },
      problems: [],
    }),
  },
  '/docs': {
    get: describe({
      id: 'getDocs',
      summary: 'This document, for people',
      tag: 'Documentation',
      roles: null,
      answers: { 200: { description: 'A page', html: true } },
      problems: [],
    }),
  },
};
