import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createDatabase, type DatabaseClient } from '../../../services/database/client.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

async function withClient<T>(
  prepareStatements: boolean,
  work: (client: DatabaseClient) => Promise<T>,
): Promise<T> {
  const options = { connectionString: database.url, poolMax: 1, applicationName: 'largesse-test-prepared' };
  const client = createDatabase({ ...options, prepareStatements });
  try {
    return await work(client);
  } finally {
    await client.db.destroy();
  }
}

const preparedHere = async ({ pool }: DatabaseClient) =>
  (await pool.query<{ statement: string }>('select statement from pg_prepared_statements')).rows.map(
    ({ statement }) => statement,
  );

test('a statement with values is prepared once per connection, however often it runs', async () => {
  await withClient(true, async (client) => {
    for (const value of [1, 2, 3]) {
      const { rows } = await sql<{ twice: number }>`select ${value}::integer * 2 as twice`.execute(client.db);
      expect(rows).toEqual([{ twice: value * 2 }]);
    }
    await client.db.transaction().execute((trx) => sql`select ${4}::integer * 2 as twice`.execute(trx));
    expect(await preparedHere(client)).toEqual(['select $1::integer * 2 as twice']);
  });
});

test('nothing is prepared for a pooler that knows no prepared statements', async () => {
  await withClient(false, async (client) => {
    await sql`select ${1}::integer`.execute(client.db);
    expect(await preparedHere(client)).toEqual([]);
  });
});

test('a statement that fails leaves its connection usable, and works when its values are right', async () => {
  await withClient(true, async ({ db }) => {
    const divide = (by: number) => sql<{ result: number }>`select 10 / ${by}::integer as result`.execute(db);
    await expect(divide(0)).rejects.toThrow('division by zero');
    expect((await divide(5)).rows).toEqual([{ result: 2 }]);
  });
});
