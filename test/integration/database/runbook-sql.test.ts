import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

const FOLDER = 'docs/runbook';

/** What pages tell somebody to look at, statement by statement; what changes something is not run here. */
const queries = readdirSync(FOLDER).flatMap((page) =>
  [...readFileSync(`${FOLDER}/${page}`, 'utf8').matchAll(/```sql\n([\s\S]*?)```/g)].flatMap(
    ([, block = '']) =>
      block
        .replaceAll(/--.*$/gm, '')
        .split(';')
        .map((statement) => statement.trim())
        .filter((statement) => /^(select|show|with)\b/i.test(statement))
        .map((statement) => ({ page, statement })),
  ),
);

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

test('there are some', () => {
  expect(queries.length).toBeGreaterThan(10);
});

test.each(queries)('P172: $page: $statement', async ({ statement }) => {
  await expect(database.pool.query(statement)).resolves.toBeDefined();
});
