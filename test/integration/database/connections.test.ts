import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createDatabase } from '../../../services/database/client.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

describe('a connection whose statement got no answer in time', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  test.each([true, false])(
    'is closed, so that nobody waits behind it (prepared: %s)',
    async (prepareStatements) => {
      const { db } = createDatabase({
        connectionString: database.url,
        poolMax: 1,
        applicationName: 'largesse-silent-test',
        statementTimeoutMs: 200,
        prepareStatements,
      });
      try {
        await expect(sql`select pg_sleep(${20})`.execute(db)).rejects.toThrow('Query read timeout');
        const { rows } = await sql<{ one: number }>`select ${1}::integer as one`.execute(db);
        expect(rows).toEqual([{ one: 1 }]);
      } finally {
        await db.destroy();
      }
    },
  );
});
