import { resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { RULES } from '../support/architecture-rules.ts';
import { parseSource, readSourceGraph } from '../support/source-graph.ts';

const root = resolve(import.meta.dirname, '../..');

describe('the sources keep the architecture', () => {
  const files = readSourceGraph(root, 'services');

  test('the sources are there to be read', () => {
    expect(files.length).toBeGreaterThan(20);
    expect(files.flatMap(({ imports }) => imports).length).toBeGreaterThan(files.length);
  });

  test.each(Object.keys(RULES))('%s', (name) => {
    expect(RULES[name]?.(files)).toEqual([]);
  });
});

/** For each rule: small sources that break it, and the sentence that says so. Beside them, what it has to let pass. */
const BROKEN: Record<string, { sources: Record<string, string>; says: string[] }> = {
  'every file belongs to an area of the map': {
    sources: { 'services/mailer/send.ts': '', 'services/stray.ts': '', 'services/api/app.ts': '' },
    says: ['services/mailer/send.ts: not in', 'services/stray.ts: not in'],
  },
  'every import of ours exists, by its path with extension': {
    sources: {
      'services/api/app.ts':
        "import './gone.ts'; import './there.ts'; import data from './data.json'; import 'zod';",
      'services/api/there.ts': "export * from './app';",
    },
    says: ['services/api/app.ts: imports ./gone.ts', 'services/api/there.ts: imports ./app'],
  },
  'edges never import each other': {
    sources: {
      'services/api/app.ts':
        "import { x } from '../consumer/settle.ts'; import './own.ts'; import '../domain/money.ts';",
      'services/reconciler/decide.ts': "const x = await import('../api/app.ts');",
      'services/admin/keys.ts': "export type { T } from '../api/app.ts';",
    },
    says: [
      'services/api/app.ts: imports ../consumer/settle.ts',
      'services/reconciler/decide.ts: imports ../api/app.ts',
      'services/admin/keys.ts: imports ../api/app.ts',
    ],
  },
  'nothing but an edge imports an edge': {
    sources: {
      'services/domain/money.ts': "import type { T } from '../api/app.ts';",
      'services/api/app.ts': "import './own.ts';",
    },
    says: ['services/domain/money.ts: imports ../api/app.ts'],
  },
  'domain imports database and nothing else of ours': {
    sources: {
      'services/domain/gifts/gift.ts':
        "import '../money.ts'; import '../../database/schema.ts'; import 'zod'; import type { Clock } from '../../runtime/clock.ts';",
    },
    says: ['services/domain/gifts/gift.ts: imports ../../runtime/clock.ts'],
  },
  'the leaves import npm packages only': {
    sources: {
      'services/queue/sqs.ts':
        "import './batcher.ts'; import 'node:fs'; import '../observability/logger.ts';",
      'services/database/client.ts': "let x: import('../domain/money.ts').Money;",
    },
    says: [
      'services/queue/sqs.ts: imports ../observability/logger.ts',
      'services/database/client.ts: imports ../domain/money.ts',
    ],
  },
  'services import nothing from outside of services': {
    sources: {
      'services/api/app.ts': "import '../../test/support/emulator.ts'; import '../domain/money.ts';",
    },
    says: ['services/api/app.ts: imports ../../test/support/emulator.ts'],
  },
  'no file imports itself by way of others': {
    sources: {
      'services/queue/a.ts': "import './b.ts'; import './d.ts';",
      'services/queue/b.ts': "import type { C } from './c.ts';",
      'services/queue/c.ts': "await import('./a.ts');",
      'services/queue/d.ts': "import './c.ts';",
    },
    says: ['queue/a.ts → queue/b.ts → queue/c.ts → queue/a.ts'],
  },
  'the AWS SDK is known to queue only': {
    sources: {
      'services/api/app.ts':
        "import type { SQSClient } from '@aws-sdk/client-sqs'; import '@smithy/node-http-handler';",
      'services/queue/sqs.ts': "import '@aws-sdk/client-sqs';",
    },
    says: [
      'services/api/app.ts: imports @aws-sdk/client-sqs',
      'services/api/app.ts: imports @smithy/node-http-handler',
    ],
  },
  'the Kubernetes client is known to reconciler only': {
    sources: {
      'services/api/app.ts': "import { KubeConfig } from '@kubernetes/client-node';",
      'services/reconciler/kubernetes/kubeconfig.ts': "import '@kubernetes/client-node';",
    },
    says: ['services/api/app.ts: imports @kubernetes/client-node'],
  },
  'Express is known to api only': {
    sources: {
      'services/consumer/main.ts': "import express from 'express';",
      'services/api/app.ts': "import 'express'; import 'helmet';",
    },
    says: ['services/consumer/main.ts: imports express'],
  },
  'winston, prom-client and OpenTelemetry are known to observability only': {
    sources: {
      'services/api/app.ts':
        "import 'winston'; import type { Counter } from 'prom-client'; import '@opentelemetry/sdk-trace';",
      'services/queue/spans.ts': "import '@opentelemetry/api';",
      'services/observability/logger.ts': "import 'winston';",
    },
    says: [
      'services/api/app.ts: imports winston',
      'services/api/app.ts: imports prom-client',
      'services/api/app.ts: imports @opentelemetry/sdk-trace',
    ],
  },
  'the OpenTelemetry API is known to observability and queue only': {
    sources: {
      'services/domain/money.ts': "import '@opentelemetry/api';",
      'services/queue/spans.ts': "import '@opentelemetry/api';",
    },
    says: ['services/domain/money.ts: imports @opentelemetry/api'],
  },
  'SQL is written in database only: no driver, no sql template elsewhere (types are harmless)': {
    sources: {
      'services/domain/gifts/accept.ts': "import { sql, type Transaction } from 'kysely';",
      'services/api/app.ts': "import { Pool } from 'pg';",
      'services/domain/gifts/claim.ts':
        "import type { Transaction } from 'kysely'; import { type Kysely } from 'kysely';",
      'services/database/client.ts': "import { sql } from 'kysely'; import pg from 'pg';",
    },
    says: ['services/domain/gifts/accept.ts: imports kysely', 'services/api/app.ts: imports pg'],
  },
  'SQL is written in database only: no query builder elsewhere': {
    sources: {
      'services/domain/gifts/accept.ts': "const f = (trx) => trx.selectFrom('gifts').selectAll().execute();",
      'services/database/queries/gifts.ts': "const f = (trx) => trx.insertInto('gifts').execute();",
      'services/api/app.ts': 'const f = (db) => db.transaction().execute((trx) => accept(trx));',
    },
    says: ['services/domain/gifts/accept.ts: calls .selectFrom()'],
  },
  'the environment is read in main.ts only': {
    sources: {
      'services/api/main.ts': 'parse(process.env);',
      'services/api/a.ts': "const x = process.env['PORT'];",
      'services/api/b.ts': "import { env } from 'node:process';",
      'services/api/c.ts': 'const { env: e } = process;',
      'services/api/d.ts': "const x = globalThis.process['env'];",
      'services/api/e.ts':
        "const env = { process: 1 }; const x = env.process; process.exit(1); const { pid } = process; import { argv } from 'node:process';",
    },
    says: ['a.ts', 'b.ts', 'c.ts', 'd.ts'].map((name) => `services/api/${name}: reads process.env`),
  },
  'nothing imports a main.ts': {
    sources: { 'services/api/app.ts': "import { start } from './main.ts'; import './domain.ts';" },
    says: ['services/api/app.ts: imports ./main.ts'],
  },
  'no file is longer than 250 lines': {
    sources: { 'services/api/long.ts': 'f();\n'.repeat(251), 'services/api/just.ts': 'f();\n'.repeat(250) },
    says: ['services/api/long.ts: 251 lines'],
  },
  'files are named by what they do': {
    sources: {
      'services/api/utils.ts': '',
      'services/domain/helpers/money.ts': '',
      'services/queue/types.ts': '',
      'services/queue/type-check.ts': '',
    },
    says: [
      'services/api/utils.ts: says nothing',
      'services/domain/helpers/money.ts: says nothing',
      'services/queue/types.ts: says nothing',
    ],
  },
};

describe('the rules see what breaks them', () => {
  test('there is a broken example for every rule', () => {
    expect(Object.keys(BROKEN)).toEqual(Object.keys(RULES));
  });

  test.each(Object.entries(BROKEN))('%s', (name, { sources, says }) => {
    const files = Object.entries(sources).map(([path, text]) => parseSource(path, text));
    const found = RULES[name]?.(files);
    expect(found).toHaveLength(says.length);
    expect(found).toEqual(expect.arrayContaining(says.map((sentence) => expect.stringContaining(sentence))));
  });
});
