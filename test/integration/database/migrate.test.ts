import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { Migration } from 'kysely/migration';
import { createDatabase, type DatabaseClient } from '../../../services/database/client.ts';
import { MigrationFailedError, migrate, pendingMigrations } from '../../../services/database/migrate.ts';
import { migrations } from '../../../services/database/migrations/index.ts';
import {
  createEmptyDatabase,
  createTestDatabase,
  serverUrl,
  withDatabaseName,
} from '../../support/database.ts';
import { eventually } from '../../support/eventually.ts';

describe('migrate', () => {
  const name = `largesse_migrate_${process.pid}`;
  let client: DatabaseClient;

  beforeAll(async () => {
    await createEmptyDatabase(serverUrl(), name);
    client = open();
  });
  afterAll(async () => {
    await client.db.destroy();
  });

  function open(): DatabaseClient {
    return createDatabase({
      connectionString: withDatabaseName(serverUrl(), name),
      poolMax: 2,
      applicationName: 'largesse-migrate-test',
    });
  }

  test('several processes may migrate at once: each migration runs once', async () => {
    const other = open();
    const ran = await Promise.all([migrate(client.db), migrate(other.db)]);
    await other.db.destroy();
    expect(ran.flat().toSorted()).toEqual(Object.keys(migrations).toSorted());
    expect(await pendingMigrations(client.db)).toEqual([]);
  });

  test('P64: a release that is older than the schema has nothing to do: it is gone back to by a sync or an upgrade, too', async () => {
    const { [Object.keys(migrations).at(-1) ?? '']: _newest, ...older } = migrations;
    expect(await migrate(client.db, older)).toEqual([]);
    expect(await pendingMigrations(client.db)).toEqual([]);
  });

  test('P56: a migration that fails is named, rolled back whole, and keeps nobody from the next try', async () => {
    const failing = {
      ...migrations,
      '9999-12-31-breaks': {
        up: async (db: typeof client.db) => {
          await sql`create table half_done (id integer)`.execute(db);
          await sql`select 1 / 0`.execute(db);
        },
      },
    };
    const error = await migrate(client.db, failing).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(MigrationFailedError);
    expect((error as MigrationFailedError).migration).toBe('9999-12-31-breaks');
    expect((error as MigrationFailedError).cause).toMatchObject({ message: 'division by zero' });
    const { rows } = await sql<{
      found: string | null;
    }>`select to_regclass('half_done')::text as found`.execute(client.db);
    expect(rows[0]?.found).toBeNull();
    // A lock that stayed behind in its session would be waited for.
    const other = open();
    expect(await migrate(other.db)).toEqual([]);
    await other.db.destroy();
  });
});

test('a migration takes longer than what serving is bounded by', async () => {
  const database = await createTestDatabase();
  const url = new URL(database.url);
  url.searchParams.set('options', '-c statement_timeout=200 -c transaction_timeout=200');
  const hurried = createDatabase({
    connectionString: url.href,
    poolMax: 2,
    applicationName: 'largesse-test',
  });
  const slow: Migration = {
    up: async (db) => {
      await sql`select pg_sleep(0.5)`.execute(db);
    },
  };
  const applied = await migrate(hurried.db, { ...migrations, '9999-slow': slow });
  expect(applied).toContain('9999-slow');
  await hurried.db.destroy();
  await database.drop();
});

test('a migration and what serves meanwhile end in no deadlock, whatever tables that has touched before', async () => {
  const name = `largesse_migrate_served_${process.pid}`;
  await createEmptyDatabase(serverUrl(), name);
  const { db, pool } = createDatabase({
    connectionString: withDatabaseName(serverUrl(), name),
    poolMax: 3,
    applicationName: 'largesse-migrate-test',
  });
  const before = Object.entries(migrations).filter(([key]) => key.startsWith('2026-11-21'));
  await migrate(db, Object.fromEntries(before));
  const serving = await pool.connect();
  const use = (table: string) => serving.query(`lock table ${table} in row exclusive mode`);
  await serving.query('begin');
  await use('ledger_transfers');
  const migrated = migrate(db);
  await eventually(async () => {
    const { rows } = await pool.query(
      "select from pg_locks where relation = 'ledger_transfers'::regclass and not granted",
    );
    expect(rows).toHaveLength(1);
  });
  await use('gifts');
  await use('deliveries');
  await serving.query('commit');
  serving.release();
  expect(await migrated).toHaveLength(Object.keys(migrations).length - before.length);
  await db.destroy();
});
