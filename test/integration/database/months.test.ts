import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase, type DatabaseClient } from '../../../services/database/client.ts';
import { isBusy } from '../../../services/database/errors.ts';
import { makeNextMonth, readMonths } from '../../../services/database/queries/months.ts';
import { firstUuidAt, newUuid } from '../../../services/domain/ids.ts';
import { monotonicUuids } from '../../../services/domain/monotonic-uuid.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { eventually } from '../../support/eventually.ts';
import { accept, draftGift, fundedSender } from '../../support/gifts.ts';

const tables = ['audit_records', 'delivery_attempts'];
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

type Month = { table: string; partition: string; from_at: Date | null; until_at: Date };

async function monthsOf(table: string): Promise<Month[]> {
  const { rows } = await database.pool.query(
    'select * from month_partitions where "table" = $1 and not is_default order by until_at',
    [table],
  );
  return rows;
}

async function takeOffFuture(but = ''): Promise<void> {
  for (const table of tables) {
    for (const { partition } of (await monthsOf(table)).filter(
      ({ partition, from_at: from }) => partition !== but && from && from > new Date(),
    )) {
      await database.pool.query(`alter table ${table} detach partition ${partition}`);
      await database.pool.query(`drop table ${partition}`);
    }
  }
}

async function makeAll(db: DatabaseClient['db'], mostMoved: number | null = null): Promise<string[]> {
  const made: string[] = [];
  for (let name = await makeNextMonth(db, mostMoved); name; name = await makeNextMonth(db, mostMoved))
    made.push(name);
  return made;
}

const opened = (options?: string) => {
  const url = new URL(database.url);
  if (options) url.searchParams.set('options', options);
  return createDatabase({ connectionString: url.href, poolMax: 2, applicationName: 'largesse-test' });
};

const auditRecord = (id: string) =>
  database.pool.query(
    `insert into audit_records (id, action, actor_kind, subject_kind, subject_id) values ($1, 'gift.accepted', 'api_key', 'gift', $1)
     returning tableoid::regclass::text as partition`,
    [id],
  );

async function partitionOf(id: string): Promise<string> {
  return (await auditRecord(id)).rows[0].partition;
}

const inDays = (days: number) => Date.now() + days * 86_400_000;
/** A UUIDv7 as a process makes it whose clock shows this time. */
const idAt = (ms: number) => monotonicUuids(() => ms)();

test('months follow each other without gap or overlap, from the past to three months ahead', async () => {
  for (const table of tables) {
    const months = await monthsOf(table);
    expect(months[0]?.from_at).toBeNull();
    expect(months.slice(1).map((month) => month.from_at)).toEqual(
      months.slice(0, -1).map((month) => month.until_at),
    );
    for (const { until_at: until } of months) {
      expect(until.toISOString()).toMatch(/^\d{4}-\d\d-01T00:00:00\.000Z$/);
    }
    expect(months.at(-1)?.until_at.getTime()).toBeGreaterThan(inDays(89));
  }
});

test('an id falls into the month of its time, also a millisecond beside the bound', async () => {
  const [, , next] = await monthsOf('audit_records');
  const bound = next?.from_at?.getTime() ?? Number.NaN;
  const { rows } = await database.pool.query('select uuid_floor($1) as floor, uuid_time($2) as time', [
    new Date(bound),
    idAt(bound),
  ]);
  expect(rows[0].time).toEqual(new Date(bound));
  expect(rows[0].floor < firstUuidAt(bound)).toBe(true);
  expect(rows[0].floor > idAt(bound - 1)).toBe(true);
  expect(await partitionOf(idAt(bound))).toBe(next?.partition);
  expect(await partitionOf(idAt(bound - 1))).not.toBe(next?.partition);
});

test('an id of a clock that is wrong lands somewhere: far back in the past, far ahead in the partition that is counted', async () => {
  expect(await partitionOf(idAt(Date.parse('2001-01-01')))).toBe('audit_records_past');
  expect(await partitionOf(idAt(inDays(4_000)))).toBe('audit_records_default');
  expect(await readMonths(database.db)).toContainEqual(
    expect.objectContaining({ table: 'audit_records', without_month: 1 }),
  );
});

test('two processes add months at once: each month is made once', async () => {
  await takeOffFuture();
  const other = opened();
  const made = (await Promise.all([makeAll(database.db), makeAll(other.db)])).flat();
  await other.db.destroy();
  expect(made.length).toBeGreaterThanOrEqual(6);
  expect(new Set(made).size).toBe(made.length);
  expect(await makeNextMonth(database.db)).toBeNull();
});

test.each(['Pacific/Kiritimati', 'America/Los_Angeles'])(
  'a month begins in UTC, also in a session in %s',
  async (zone) => {
    const before = await monthsOf('audit_records');
    await takeOffFuture();
    const away = opened(`-c timezone=${zone}`);
    await makeAll(away.db);
    await away.db.destroy();
    expect(await monthsOf('audit_records')).toEqual(before);
  },
);

describe('append-only', () => {
  const refused = { code: '23514', message: expect.stringMatching(/append-only/) };

  test('holds in each partition addressed directly, those of months to come among them', async () => {
    const { rows } = await database.pool.query(
      `select partition, coalesce(from_at + interval '1 day', until_at - interval '1 day') as at, is_default
       from month_partitions where "table" = 'audit_records'`,
    );
    expect(rows.length).toBeGreaterThan(4);
    for (const { partition, at, is_default: isDefault } of rows) {
      expect(await partitionOf(idAt(isDefault ? inDays(5_000) : at.getTime()))).toBe(partition);
      for (const change of [
        `update ${partition} set action = 'x'`,
        `delete from ${partition}`,
        `truncate ${partition}`,
      ]) {
        await expect(database.pool.query(change)).rejects.toMatchObject(refused);
      }
    }
    await expect(database.pool.query('truncate audit_records')).rejects.toMatchObject(refused);
  });

  test('holds in a partition that somebody made by hand, which keeps no month from being added', async () => {
    await database.pool.query(`create table by_hand partition of audit_records
      for values from (uuid_floor('2050-01-01')) to (uuid_floor('2050-02-01'))`);
    expect(await partitionOf(idAt(Date.parse('2050-01-15')))).toBe('by_hand');
    await expect(database.pool.query('delete from by_hand')).rejects.toMatchObject(refused);
    await takeOffFuture('by_hand');
    expect((await makeAll(database.db)).length).toBeGreaterThan(0);
    await database.pool.query('alter table audit_records detach partition by_hand');
  });
});

test('rows that came before their month are counted, and moved into it: a few by a process, many by a person', async () => {
  await takeOffFuture();
  const late = new Date(inDays(45)).getTime();
  const ids = Array.from({ length: 3 }, (_, i) => idAt(late + i));
  for (const id of ids) expect(await partitionOf(id)).toBe('audit_records_default');
  await expect(makeAll(database.db, 2)).rejects.toMatchObject({ code: '54000' });
  await makeAll(database.db, 3);
  const { rows } = await database.pool.query(
    'select distinct tableoid::regclass::text as partition from audit_records where id = any($1)',
    [ids],
  );
  expect(rows).toEqual([{ partition: expect.stringMatching(/^audit_records_\d{4}_\d\d$/) }]);
  await expect(database.pool.query('delete from audit_records_default')).rejects.toMatchObject({
    code: '23514',
  });
});

test('while somebody reads, no month is made and nobody waits for it longer than a moment', async () => {
  await takeOffFuture();
  const reader = await database.pool.connect();
  await reader.query('begin');
  await reader.query('select count(*) from audit_records');
  const error = await makeAll(database.db).catch((caught: unknown) => caught);
  expect(isBusy(error)).toBe(true);
  const sender = await fundedSender(database.db);
  await accept(database.db, [draftGift(sender)]);
  await reader.query('commit');
  reader.release();
  expect((await makeAll(database.db)).length).toBeGreaterThan(0);
});

test("a row whose month is made while it is on its way is nobody's fault, and is led there by the next try", async () => {
  await takeOffFuture();
  const maker = await database.pool.connect();
  await maker.query('begin');
  let made = '';
  while (!made.startsWith('audit_records'))
    made = (await maker.query('select make_next_month(3, null) as name')).rows[0].name;
  const { rows } = await maker.query('select from_at from month_partitions where partition = $1', [made]);
  const id = firstUuidAt(rows[0].from_at.getTime());
  const refused = auditRecord(id).catch((error: unknown) => error);
  await eventually(async () => {
    const { rows: waiting } = await database.pool.query('select from pg_locks where not granted');
    expect(waiting).toHaveLength(1);
  });
  await maker.query('commit');
  maker.release();
  expect(await refused).toMatchObject({ code: '23514', routine: 'ExecPartitionCheckEmitError' });
  expect(isBusy(await refused)).toBe(true);
  expect(await partitionOf(id)).toBe(made);
});

test('a role that may not make tables adds months all the same, with the rights of the one that migrates', async () => {
  await takeOffFuture();
  const role = `largesse_serving_${newUuid().replaceAll('-', '')}`;
  await database.pool.query(`create role ${role} login password 'x'`);
  const url = new URL(database.url);
  url.username = role;
  url.password = 'x';
  const serving = createDatabase({
    connectionString: url.href,
    poolMax: 1,
    applicationName: 'largesse-test',
  });
  await expect(serving.pool.query('create table mine ()')).rejects.toBeInstanceOf(pg.DatabaseError);
  expect((await makeAll(serving.db)).length).toBeGreaterThan(0);
  await database.pool.query(`revoke execute on function make_next_month from public`);
  await expect(makeNextMonth(serving.db)).rejects.toMatchObject({ code: '42501' });
  await serving.db.destroy();
  await database.pool.query(`drop role ${role}`);
});
