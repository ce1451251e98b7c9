import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { boundRole, boundsFor } from '../../../services/database/bounds.ts';
import { createDatabase, type DatabaseClient } from '../../../services/database/client.ts';
import type { DatabaseNote } from '../../../services/database/connections.ts';
import { examineDatabase } from '../../../services/database/examine.ts';
import { pingDatabase } from '../../../services/database/ping.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { accept, balances, draftGift, fundedSender } from '../../support/gifts.ts';
import { type PgBouncer, pgBouncerVersion, startPgBouncer } from '../../support/pgbouncer.ts';

const version = pgBouncerVersion();
if (version === null)
  process.stderr.write('NOT RUN: there is no pgbouncer here, so nothing was tried behind one\n');
const behindPooler = version === null ? describe.skip : describe;
const follows = version !== null && Number(version.split('.')[1]) >= 21;

let database: TestDatabase;
let notes: DatabaseNote[];
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

function open(connectionString: string): DatabaseClient {
  notes = [];
  return createDatabase({
    connectionString,
    poolMax: 8,
    applicationName: 'largesse-pooled-test',
    onNote: (note) => notes.push(note),
  });
}

test('without a pooler statements are prepared, and everything is bounded', async () => {
  const client = open(database.url);
  expect(await examineDatabase(client)).toEqual({
    pooled: false,
    preparedStatements: true,
    missingBounds: [],
  });
  expect(client.prepared.on).toBe(true);
  await client.db.destroy();
});

behindPooler(`behind a real PgBouncer (${version}) in transaction pooling`, () => {
  let pooler: PgBouncer;
  beforeAll(async () => {
    pooler = await startPgBouncer(database.url);
  });
  afterAll(() => pooler.stop());

  /** Many clients on few sessions: each statement meets another session than the one before. */
  async function load({ db }: DatabaseClient): Promise<void> {
    const rounds = Array.from({ length: 60 }, (_, index) =>
      index % 3 === 0
        ? db.transaction().execute((trx) => sql`select ${index}::integer as n`.execute(trx))
        : sql`select ${index}::integer as n, pg_sleep(0.005)`.execute(db),
    );
    await Promise.all(rounds);
    await pingDatabase(db);
  }

  test('what it does with prepared statements is found out at start, and acted upon', async () => {
    const client = open(pooler.url(database.url));
    const found = await examineDatabase(client);
    expect(found).toMatchObject({ pooled: true, preparedStatements: follows });
    expect(client.prepared.on).toBe(follows);
    expect(notes.map(({ event }) => event)).toContain('bounds_refused');
    await load(client);
    await client.db.destroy();
  });

  test('not found out at start, it is with the first statement that is lost: nobody is failed by it', async () => {
    const client = open(pooler.url(database.url));
    await Promise.all(Array.from({ length: 80 }, () => pingDatabase(client.db)));
    await Promise.all(Array.from({ length: 80 }, () => pingDatabase(client.db)));
    await client.db.destroy();
  });

  test('bounds that it passes on to nobody are said to be missing, and hold once the role has them', async () => {
    const before = open(pooler.url(database.url));
    expect((await examineDatabase(before)).missingBounds).toContain('lock_timeout');
    await before.db.destroy();
    await boundRole(database.db, boundsFor(12_000));
    const restarted = await startPgBouncer(database.url);
    const after = open(restarted.url(database.url));
    expect((await examineDatabase(after)).missingBounds).toEqual([]);
    await after.db.destroy();
    await restarted.stop();
  });

  test('one that lends sessions by the statement is refused in words: readiness would say yes, and half of the work fail', async () => {
    const byStatement = await startPgBouncer(database.url, ['pool_mode = statement']);
    const client = open(byStatement.url(database.url));
    await pingDatabase(client.db);
    await expect(examineDatabase(client)).rejects.toMatchObject({
      code: 'pooler_takes_no_transactions',
      message: expect.stringContaining('pool_mode'),
    });
    await client.db.destroy();
    await byStatement.stop();
  });

  test('one migrating process after the other comes through: none finds what it prepares prepared already', async () => {
    for (let run = 0; run < 3; run += 1)
      expect(await migrate(pooler.url(database.url))).toContain('up to date');
  }, 60_000);

  test('gifts are accepted and their money is right', async () => {
    const client = open(pooler.url(database.url));
    await examineDatabase(client);
    const sender = await fundedSender(client.db, 100_000);
    await Promise.all(Array.from({ length: 20 }, () => accept(client.db, [draftGift(sender)])));
    expect(await balances(client.db, sender)).toMatchObject({
      available: 50_000,
      reserved: 50_000,
      total: 0,
    });
    await client.db.destroy();
  });
});

async function migrate(connectionString: string): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ['services/admin/main.ts', 'migrate'], {
    cwd: new URL('../../..', import.meta.url).pathname,
    env: { PATH: process.env['PATH'], DATABASE_URL: connectionString },
  });
  return stdout;
}
