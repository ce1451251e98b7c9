import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import pg from 'pg';
import {
  createDatabase,
  type DatabaseClient,
  type DatabaseOptions,
} from '../../../services/database/client.ts';
import type { DatabaseNote } from '../../../services/database/connections.ts';
import { pingDatabase } from '../../../services/database/ping.ts';
import { createSender } from '../../../services/domain/senders/create-sender.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { eventually } from '../../support/eventually.ts';

const application = 'largesse-connections-test';

let database: TestDatabase;
let client: DatabaseClient;
let notes: DatabaseNote[];
/** A look from outside, and a way to change what new sessions are given. */
let admin: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  admin = new pg.Client({ connectionString: database.url });
  await admin.connect();
});
afterAll(async () => {
  await admin.end();
  await database.drop();
});

beforeEach(() => {
  notes = [];
});
afterEach(async () => {
  await client.db.destroy();
  // Kysely leaves a pool alone that it was never asked for.
  if (!client.pool.ended) await client.pool.end();
});

function open(options: Partial<DatabaseOptions> = {}): DatabaseClient {
  client = createDatabase({
    connectionString: database.url,
    poolMax: 4,
    applicationName: application,
    onNote: (note) => notes.push(note),
    ...options,
  });
  return client;
}

/** As many sessions at once as the pool has, each asked for its process id. */
async function fillPool({ pool }: DatabaseClient): Promise<Set<number>> {
  const sessions = await Promise.all(Array.from({ length: pool.options.max }, () => pool.connect()));
  const pids = await Promise.all(
    sessions.map(async (session) => (await session.query('select pg_backend_pid() as pid')).rows[0].pid),
  );
  for (const session of sessions) session.release();
  return new Set(pids);
}

const backends = async (condition = 'true') =>
  Number(
    (
      await admin.query(
        `select count(*) from pg_stat_activity where application_name = $1 and ${condition}`,
        [application],
      )
    ).rows[0].count,
  );

/** A failover after which old sessions stay on a node that can only read: they are read-only for the rest of their lives. */
async function connectToReadOnlyNode(): Promise<DatabaseClient> {
  const name = new URL(database.url).pathname.slice(1);
  await admin.query(`alter database ${name} set default_transaction_read_only = on`);
  const opened = open();
  await fillPool(opened);
  await admin.query(`alter database ${name} reset default_transaction_read_only`);
  return opened;
}

const write = ({ db }: DatabaseClient) => createSender(db, { name: 'Ada' });

describe('a session that is known to be bad', () => {
  test('read-only after a failover: the statement is repeated on a new session, and all old sessions are discarded', async () => {
    const { pool } = await connectToReadOnlyNode();
    const freshEnough = performance.now() + 1_000;
    await eventually(() => expect(performance.now()).toBeGreaterThan(freshEnough));
    await Promise.all(Array.from({ length: 40 }, () => write(client)));
    const after = await fillPool(client);
    const sessions = await Promise.all([...after].map(() => pool.connect()));
    for (const session of sessions) {
      expect((await session.query('show transaction_read_only')).rows[0].transaction_read_only).toBe('off');
      session.release();
    }
    expect(notes.map(({ event }) => event)).toEqual(['sessions_discarded']);
  });

  test.each([
    ['a search_path without our tables', `search_path = 'nowhere'`, 'search_path'],
    ['a role without our rights', `role = 'pg_monitor'`, 'role'],
  ])(
    '%s, when it began: the statement is repeated on a new session, and the old one is discarded',
    async (_what, setting, reset) => {
      const name = new URL(database.url).pathname.slice(1);
      await admin.query(`alter database ${name} set ${setting}`);
      open();
      const old = await fillPool(client);
      await admin.query(`alter database ${name} reset ${reset}`);
      const freshEnough = performance.now() + 1_000;
      await eventually(() => expect(performance.now()).toBeGreaterThan(freshEnough));
      for (let round = 0; round < 3; round += 1)
        await Promise.all(Array.from({ length: 20 }, () => write(client)));
      await client.db.transaction().execute((trx) => createSender(trx, { name: 'Ada' }));
      expect([...(await fillPool(client))].filter((pid) => old.has(pid))).toEqual([]);
    },
  );

  test('what no session has is asked for by no storm of new ones', async () => {
    open({ poolMax: 2 });
    let opened = 0;
    client.pool.on('connect', () => {
      opened += 1;
    });
    const startedAt = performance.now();
    for (let count = 0; count < 200; count += 1) {
      await expect(sql`select from nowhere where ${1}::integer = 1`.execute(client.db)).rejects.toMatchObject(
        {
          code: '42P01',
        },
      );
    }
    const seconds = Math.ceil((performance.now() - startedAt) / 1_000);
    expect(opened).toBeLessThanOrEqual(2 * (seconds + 1));
  });

  test('readiness asks for what serving needs: it fails while the node only reads, and is back with the first new session', async () => {
    const name = new URL(database.url).pathname.slice(1);
    open();
    await pingDatabase(client.db);
    await admin.query(`alter database ${name} set default_transaction_read_only = on`);
    await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
      application,
    ]);
    await eventually(async () => expect(await backends()).toBe(0));
    // The server has ended the sessions; the word of it may still be on its way.
    await eventually(() => expect(client.pool.totalCount).toBe(0));
    await expect(pingDatabase(client.db)).rejects.toMatchObject({ code: '25006' });
    await admin.query(`alter database ${name} reset default_transaction_read_only`);
    await pingDatabase(client.db);
  });

  test('a column that is widened under load fails nobody: what was prepared before is prepared anew', async () => {
    open();
    await admin.query('create table widened (id integer primary key, amount integer)');
    await admin.query('insert into widened values (1, 7)');
    const read = () =>
      sql<{ amount: number }>`select * from widened where id = ${1}::integer`.execute(client.db);
    await Promise.all(Array.from({ length: 20 }, read));
    await admin.query('alter table widened alter column amount type bigint');
    const answers = await Promise.all(Array.from({ length: 40 }, read));
    expect(new Set(answers.map(({ rows }) => rows[0]?.amount))).toEqual(new Set([7]));
    await admin.query('alter table widened add column note text');
    expect((await Promise.all(Array.from({ length: 40 }, read))).length).toBe(40);
    await admin.query('drop table widened');
  });

  test('a prepared statement that a pooler lost: the statement is repeated without one, and so are all that follow', async () => {
    open({ poolMax: 1 });
    const one = () => sql<{ one: number }>`select ${1}::integer as one`.execute(client.db);
    await one();
    const session = await client.pool.connect();
    await session.query('deallocate all');
    session.release();
    expect((await one()).rows).toEqual([{ one: 1 }]);
    expect([notes.map(({ event }) => event), client.prepared.on]).toEqual([
      ['prepared_statements_off'],
      false,
    ]);
    expect((await one()).rows).toEqual([{ one: 1 }]);
  });

  test('in a transaction nothing is repeated: what came before is gone, too', async () => {
    await connectToReadOnlyNode();
    const trying = client.db.transaction().execute((trx) => createSender(trx, { name: 'Ada' }));
    await expect(trying).rejects.toMatchObject({ code: '25006' });
    await client.db.transaction().execute((trx) => createSender(trx, { name: 'Ada' }));
  });
});

describe('what the server bounds', () => {
  test('a statement that takes too long is ended by the server, and its session goes on', async () => {
    open({ poolMax: 1, statementTimeoutMs: 200 });
    const before = await fillPool(client);
    await expect(sql`select pg_sleep(${20})`.execute(client.db)).rejects.toMatchObject({ code: '57014' });
    expect(await fillPool(client)).toEqual(before);
    expect(await backends(`state = 'active'`)).toBe(0);
  });

  test('a transaction whose process is frozen lets go of its locks', async () => {
    open({
      bounds: {
        statement_timeout: 5_000,
        lock_timeout: 5_000,
        idle_in_transaction_session_timeout: 200,
        transaction_timeout: 0,
      },
    });
    const senderId = await createSender(client.db, { name: 'Ada' });
    const frozen = await client.pool.connect();
    frozen.on('error', () => undefined);
    await frozen.query('begin');
    await frozen.query('select from senders for update');
    await admin.query('select from senders for update');
    expect(senderId).toBeDefined();
    frozen.release(true);
  });

  test('sessions are bounded in all four ways', async () => {
    open();
    const { rows } = await client.pool.query(
      `select name, setting::integer > 0 as bounded from pg_settings where name = any ($1)`,
      [['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout']],
    );
    expect(rows.map(({ bounded }) => bounded)).toEqual([true, true, true, true]);
  });

  test('what an address gives in `options` counts beside them', async () => {
    const url = new URL(database.url);
    url.searchParams.set('options', '-c search_path=pg_catalog,public -c lock_timeout=77');
    open({ connectionString: url.href });
    const show = async (name: string) => (await client.pool.query(`show ${name}`)).rows[0][name];
    expect([await show('search_path'), await show('lock_timeout'), await show('statement_timeout')]).toEqual([
      'pg_catalog,public',
      '77ms',
      '12s',
    ]);
  });
});

describe('a session that says nothing more', () => {
  /** The server has no bound of its own here, as behind a pooler that passes none on. */
  const none = {
    statement_timeout: 0,
    lock_timeout: 0,
    idle_in_transaction_session_timeout: 0,
    transaction_timeout: 0,
  };

  test.each([true, false])(
    'is closed and its statement cancelled, so that nobody waits behind it and the pool keeps its size (prepared: %s)',
    async (prepareStatements) => {
      open({ poolMax: 2, statementTimeoutMs: 1_500, silenceMs: 500, bounds: none, prepareStatements });
      const sleeping = () => sql`select pg_sleep(${600})`.execute(client.db);
      for (let round = 0; round < 3; round += 1) {
        const results = await Promise.allSettled([sleeping(), sleeping()]);
        for (const result of results)
          expect(result).toMatchObject({ reason: { message: 'Query read timeout' } });
      }
      await eventually(() => pingDatabase(client.db));
      await eventually(async () => expect(await backends(`state = 'active'`)).toBe(0));
      await eventually(async () => expect(await backends()).toBeLessThanOrEqual(2));
    },
  );
});
