import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Kysely, sql } from 'kysely';
import { createDatabase, type DatabaseClient } from '../../../services/database/client.ts';
import type { Holds } from '../../../services/database/hold-tables.ts';
import { migrate } from '../../../services/database/migrate.ts';
import { migrations, type SchemaMigration } from '../../../services/database/migrations/index.ts';
import { createEmptyDatabase, serverUrl, withDatabaseName } from '../../support/database.ts';

const name = `largesse_migration_holds_${process.pid}`;
let client: DatabaseClient;

beforeAll(async () => {
  await createEmptyDatabase(serverUrl(), name);
  const connectionString = withDatabaseName(serverUrl(), name);
  client = createDatabase({ connectionString, poolMax: 4, applicationName: 'largesse-migrate-test' });
});
afterAll(() => client.db.destroy());

/** Tables that are there, by their ids: a migration may give one another name. */
async function readTables(db: Kysely<unknown>): Promise<Map<number, string>> {
  const { rows } = await sql<{ id: number; name: string }>`
    select oid::integer as id, relname as name from pg_class
    where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p') and relname !~ '^kysely_'`.execute(
    db,
  );
  return new Map(rows.map((row) => [row.id, row.name]));
}

/**
 * What a migration locked of what was there before it, so that others could not read or write it. Partitions go with their
 * table, unless they alone are locked.
 */
async function readLocked(db: Kysely<unknown>, before: Map<number, string>): Promise<Required<Holds>> {
  const { rows } = await sql<{ id: number; alone: boolean }>`
    with locked as (
      select relation, bool_or(mode = 'AccessExclusiveLock') as alone from pg_locks
      where pid = pg_backend_pid() and locktype = 'relation' and mode not in ('AccessShareLock', 'ShareUpdateExclusiveLock')
      group by relation
    )
    select relation::integer as id, alone from locked
    where not exists (select from pg_inherits where inhrelid = relation and inhparent in (select relation from locked)
      and inhparent = any (${[...before.keys()]}))`.execute(db);
  const names = (alone: boolean) =>
    rows.flatMap((row) => (row.alone === alone ? (before.get(row.id) ?? []) : [])).toSorted();
  return { holds: names(true), holdsWrites: names(false) };
}

test('a migration says what it locks, no less and no more', async () => {
  const locked: Record<string, Required<Holds>> = {};
  const watched = Object.entries(migrations).map(([key, { up }]): [string, SchemaMigration] => [
    key,
    {
      up: async (db) => {
        const before = await readTables(db);
        await up(db);
        locked[key] = await readLocked(db, before);
      },
    },
  ]);
  await migrate(client.db, Object.fromEntries(watched));
  const said = Object.entries(migrations).map(([key, { holds = [], holdsWrites = [] }]) => [
    key,
    { holds: holds.toSorted(), holdsWrites: holdsWrites.toSorted() },
  ]);
  expect(locked).toEqual(Object.fromEntries(said));
});

/** What others can do with a table now, without waiting. */
async function readUse(table: string): Promise<string> {
  const mayLock = async (mode: string) => {
    try {
      await client.db
        .transaction()
        .execute((trx) => sql`lock table ${sql.table(table)} in ${sql.raw(mode)} mode nowait`.execute(trx));
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: '55P03' });
      return false;
    }
  };
  if (!(await mayLock('access share'))) return 'none';
  if (!(await mayLock('row share'))) return 'read';
  return (await mayLock('row exclusive')) ? 'written' : 'locked';
}

test('the tables that a migration does not name are read and written while it runs', async () => {
  const uses = new Map<string, string>();
  const holding: SchemaMigration = {
    holds: ['gifts', 'rate_limits'],
    holdsWrites: ['deliveries'],
    up: async (db) => {
      for (const table of (await readTables(db)).values()) uses.set(table, await readUse(table));
    },
  };
  await migrate(client.db, { ...migrations, '9999-holding': holding });
  const found = Object.fromEntries(uses);
  expect(found).toMatchObject({ gifts: 'none', rate_limits: 'none', deliveries: 'read', outbox: 'written' });
  expect(Object.values(found).filter((use) => use !== 'written')).toHaveLength(3);
});

test('while a migration can not have a table, nobody waits for the others that it wants', async () => {
  const dump = await client.pool.connect();
  await dump.query('begin');
  await dump.query('lock table ledger_entries in access share mode');
  let ran = false;
  const patient: SchemaMigration = {
    holds: ['ledger_entries', 'gifts', 'deliveries'],
    up: async () => {
      ran = true;
    },
  };
  const migrated = migrate(client.db, { ...migrations, '9999-holding': patient, '9999-patient': patient });
  // Each goes through between two tries: a queue behind the one that waits for the dump would last as long as that does.
  for (let read = 0; read < 20; read += 1) {
    await sql`select from gifts, deliveries limit 1`.execute(client.db);
    await sql`update gifts set state = state where false`.execute(client.db);
  }
  expect(ran).toBe(false);
  await dump.query('commit');
  dump.release();
  expect(await migrated).toEqual(['9999-patient']);
});
