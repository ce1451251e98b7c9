import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import type { z } from 'zod';
import { apiEnv } from '../../../services/api/config.ts';
import { consumerEnv } from '../../../services/consumer/config.ts';
import { reconcilerEnv } from '../../../services/reconciler/config.ts';

type Row = { variable: string; documentedDefault: string; roles: string[] };

const schemas = { api: apiEnv.shape, consumer: consumerEnv.shape, reconciler: reconcilerEnv.shape };

const table: Row[] = readFileSync('docs/operations.md', 'utf8')
  .split('\n')
  .filter((line) => /^\| `[A-Z_]+` \|/.test(line))
  .map((line) => {
    const [, variable = '', documentedDefault = '', roles = ''] = line
      .split('|')
      .map((cell) => cell.trim().replaceAll('`', ''));
    return {
      variable,
      documentedDefault,
      roles: roles.replace('all', 'api, consumer, reconciler').split(', '),
    };
  });

test.each(Object.entries(schemas))('the table names what the %s reads, and nothing else', (role, shape) => {
  const documented = table.filter(({ roles }) => roles.includes(role)).map(({ variable }) => variable);
  expect(documented.sort()).toEqual(Object.keys(shape).sort());
});

test('the table tells the defaults that are used', () => {
  const fields: Record<string, z.ZodType> = { ...apiEnv.shape, ...consumerEnv.shape, ...reconcilerEnv.shape };
  const differing = table.filter(({ variable, documentedDefault }) => {
    const field = fields[variable];
    const used = field?.safeParse(undefined);
    if (documentedDefault === '') return used?.success === true && Boolean(used.data);
    return used?.data !== field?.safeParse(documentedDefault).data;
  });
  expect(differing).toEqual([]);
});
