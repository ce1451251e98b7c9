import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { databaseReadiness } from '../../../services/api/database-readiness.ts';
import { createDatabase, type DatabaseClient } from '../../../services/database/client.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

let database: TestDatabase;
let asking: DatabaseClient;
let queries = 0;
beforeAll(async () => {
  database = await createTestDatabase();
  asking = createDatabase({ connectionString: database.url, poolMax: 5, applicationName: 'largesse-test' });
  asking.pool.on('acquire', () => {
    queries += 1;
  });
});
afterAll(async () => {
  await asking.db.destroy();
  await database.drop();
});

test('the database is asked once for all who ask in the same second, and for migrations only until it has them', async () => {
  const ready = databaseReadiness(asking);
  await Promise.all(Array.from({ length: 50 }, () => ready()));
  const forMigrations = queries;
  await Promise.all(Array.from({ length: 50 }, () => ready()));
  expect(queries).toBe(forMigrations);
  await wait(1_050);
  await Promise.all(Array.from({ length: 50 }, () => ready()));
  expect(queries).toBe(forMigrations + 1);
});

test('it is not ready while a migration is missing, and is as soon as it is there', async () => {
  const { rows } = await database.pool.query(
    'delete from kysely_migration where name = (select max(name) from kysely_migration) returning name, timestamp',
  );
  const ready = databaseReadiness(asking);
  await expect(ready()).rejects.toThrow(rows[0].name);
  await database.pool.query('insert into kysely_migration (name, timestamp) values ($1, $2)', [
    rows[0].name,
    rows[0].timestamp,
  ]);
  await wait(1_050);
  await expect(ready()).resolves.toBeUndefined();
});
