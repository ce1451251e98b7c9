import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createDatabase, type DatabaseClient } from '../../../services/database/client.ts';
import { migrate } from '../../../services/database/migrate.ts';
import { migrations } from '../../../services/database/migrations/index.ts';
import { readLifecycleInvariants } from '../../../services/database/queries/lifecycle-invariants.ts';
import { claimGifts } from '../../../services/domain/deliveries/claim-gifts.ts';
import { settleDeliveries } from '../../../services/domain/deliveries/settle-deliveries.ts';
import { readTimeline } from '../../../services/domain/gifts/timeline.ts';
import type { GiftId } from '../../../services/domain/ids.ts';
import { createEmptyDatabase, serverUrl, withDatabaseName } from '../../support/database.ts';
import { accept, draftGift, type FundedSender, fundedSender, keyring } from '../../support/gifts.ts';

const before = Object.fromEntries(Object.entries(migrations).filter(([key]) => key < '2026-11-28-200'));
const promised = Object.fromEntries(Object.entries(migrations).filter(([key]) => key < '2026-11-28-203'));
const tables = ['audit_records', 'delivery_attempts'];

let client: DatabaseClient;
let sender: FundedSender;
/** one is on its way when the tables are divided, one has arrived */
let underWay: GiftId;
let arrived: GiftId;

beforeAll(async () => {
  const name = `largesse_months_apart_${process.pid}`;
  await createEmptyDatabase(serverUrl(), name);
  client = createDatabase({
    connectionString: withDatabaseName(serverUrl(), name),
    poolMax: 3,
    applicationName: 'largesse-test',
  });
  await migrate(client.db, before);
  // What is claimed here by the code of today came with a later migration, which adds it after the tables are divided.
  await client.pool.query('alter table deliveries add column maybe_out_since timestamptz');
  sender = await fundedSender(client.db);
  const { gifts } = await accept(client.db, [draftGift(sender), draftGift(sender)]);
  [underWay, arrived] = gifts.map(({ id }) => id) as [GiftId, GiftId];
  await settle(await claim(arrived));
});
afterAll(() => client.db.destroy());

async function claim(giftId: GiftId) {
  const requests = [{ giftId, messageId: 'm', receiveCount: 1 }];
  const [result] = await claimGifts(client.db, { keyring, leaseSeconds: 60 }, requests);
  if (result?.kind !== 'claimed') throw new Error(`not claimed: ${result?.kind}`);
  return result.work;
}

const settle = ({ deliveryId, attempt }: Awaited<ReturnType<typeof claim>>) =>
  settleDeliveries(client.db, [{ deliveryId, attempt, outcome: 'sent' }]);

const rows = async (text: string) => (await client.pool.query(text)).rows;
const filesOf = (names: string) =>
  rows(`select c.relfilenode as file, i.indisvalid as valid from pg_class c left join pg_index i on i.indexrelid = c.oid
    where c.relname in (${names}) order by 1`);
const contents = () =>
  Promise.all(
    tables.map((table) => rows(`select * from ${table} order by id`).then((all) => JSON.stringify(all))),
  );

test('tables with rows are divided without copying a row or building an index, and what was under way goes on', async () => {
  const work = await claim(underWay);
  await client.pool.query('alter table deliveries drop column maybe_out_since');
  const role = `largesse_writing_${process.pid}`;
  await client.pool.query(
    `drop role if exists ${role}; create role ${role}; grant insert on audit_records to ${role}`,
  );
  const stray = 'ffffffff-0000-7000-8000-000000000000';
  await client.pool.query(`insert into audit_records (id, action, actor_kind, subject_kind, subject_id)
    values ('${stray}', 'gift.accepted', 'api_key', 'gift', '${stray}')`);
  const whole = await contents();
  const files =
    await filesOf(`'audit_records', 'audit_records_pkey', 'audit_records_by_subject', 'delivery_attempts',
    'delivery_attempts_pkey', 'delivery_attempts_number_unique', 'delivery_attempts_open'`);

  await migrate(client.db);

  expect(await contents()).toEqual(whole);
  expect(
    await filesOf(`'audit_records_past', 'audit_records_past_pkey', 'audit_records_past_by_subject', 'delivery_attempts_past',
      'delivery_attempts_past_pkey', 'delivery_attempts_past_number_unique', 'delivery_attempts_past_open'`),
  ).toEqual(files);
  expect(
    await rows(`select tableoid::regclass::text as at from audit_records where id = '${stray}'`),
  ).toEqual([{ at: 'audit_records_default' }]);
  expect(await rows('select id from audit_records_default')).toHaveLength(1);

  // Who might write the old table may write the new one, of whose partitions no right is asked.
  const may = (table: string) =>
    rows(`select has_table_privilege('${role}', '${table}', 'insert') as insert`);
  expect(await may('audit_records')).toEqual([{ insert: true }]);
  expect(await may('audit_records_default')).toEqual([{ insert: false }]);
  await client.pool.query(`drop owned by ${role}; drop role ${role}`);

  await settle(work);
  const story = (await readTimeline(client.db, sender.senderId, underWay)).map((entry) =>
    entry.kind === 'event' ? entry.record.action : entry.kind,
  );
  expect(story).toEqual(['gift.accepted', 'attempt', 'delivery.sent', 'gift.delivered']);
  expect((await readLifecycleInvariants(client.db)).map(({ broken }) => broken)).toEqual([0, 0, 0]);
});

test('an attempt has one number of its delivery, in whichever month, and a delivery that there is', async () => {
  const again = `insert into delivery_attempts (id, delivery_id, number)
    select gen_random_uuid(), delivery_id, number from delivery_attempts limit 1`;
  await expect(client.pool.query(again)).rejects.toMatchObject({ code: '23505' });
  const loose = `insert into delivery_attempts (id, delivery_id, number)
    select gen_random_uuid(), uuid_floor(now()), 1`;
  await expect(client.pool.query(loose)).rejects.toMatchObject({ code: '23503' });
});

test('an upgrade that stops between promise and division goes on later, with ids refused of months ahead alone', async () => {
  const name = `largesse_months_promised_${process.pid}`;
  await createEmptyDatabase(serverUrl(), name);
  const halfway = createDatabase({
    connectionString: withDatabaseName(serverUrl(), name),
    poolMax: 2,
    applicationName: 'largesse-test',
  });
  await migrate(halfway.db, before);
  const owner = await fundedSender(halfway.db);
  await accept(halfway.db, [draftGift(owner)]);
  await migrate(halfway.db, promised);
  await accept(halfway.db, [draftGift(owner)]);
  const inFuture = (days: number) =>
    halfway.pool.query(
      `insert into audit_records (id, action, actor_kind, subject_kind, subject_id)
       select uuid_floor(now() + make_interval(days => $1)), 'x', 'admin', 'gift', uuid_floor(now())`,
      [days],
    );
  await inFuture(59);
  await expect(inFuture(93)).rejects.toMatchObject({ code: '23514', constraint: 'audit_records_before' });
  await migrate(halfway.db);
  await inFuture(93);
  const { rows: past } = await halfway.pool.query('select count(*)::int as rows from audit_records_past');
  expect(past).toEqual([{ rows: 3 }]);
  const { rows: left } = await halfway.pool.query(
    `select conname from pg_constraint where conname like '%\\_before'`,
  );
  expect(left).toEqual([]);
  await halfway.db.destroy();
});
