import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { describe } from '../docs/describe.ts';
import { healthSchema, readinessSchema } from '../health/routes.ts';
import { invariantsSchema } from '../ledger/routes.ts';
import { pageSchema } from '../page-query.ts';
import { deadLetterSchema, deadLettersQuery } from './dead-letters.ts';
import { queuesSchema } from './queues.ts';

const tag = 'Operations';

export const operationsPaths: ZodOpenApiPathsObject = {
  '/v1/ledger/invariants': {
    get: describe({
      id: 'getLedgerInvariants',
      summary: 'Whether the ledger is sound: sums that must be zero',
      tag: 'Ledger',
      roles: 'auditor',
      answers: { 200: { description: 'Each invariant with its answer', schema: invariantsSchema } },
      problems: [],
    }),
  },
  '/v1/dead-letters': {
    get: describe({
      id: 'listDeadLetters',
      summary: 'What the reconciler saw in dead-letter queues, and decided',
      tag,
      roles: 'operator',
      query: deadLettersQuery.schema,
      answers: { 200: { description: 'A page of dead letters', schema: pageSchema(deadLetterSchema) } },
      problems: ['validation_failed'],
    }),
  },
  '/v1/queues': {
    get: describe({
      id: 'getQueues',
      summary: 'Depths and ages of the queues, rates, gifts under way, backlog of the outbox',
      tag,
      roles: 'operator',
      answers: { 200: { description: 'As of now', schema: queuesSchema } },
      problems: [],
    }),
  },
  '/healthz': {
    get: describe({
      id: 'getHealth',
      summary: 'Whether the process is alive',
      tag,
      roles: null,
      probe: true,
      answers: { 200: { description: 'It is', schema: healthSchema } },
      problems: [],
    }),
  },
  '/readyz': {
    get: describe({
      id: 'getReadiness',
      summary: 'Whether the process can serve',
      tag,
      roles: null,
      probe: true,
      answers: {
        200: { description: 'It can', schema: readinessSchema },
        503: { description: 'It can not, or is stopping', schema: readinessSchema },
      },
      problems: [],
    }),
  },
};
