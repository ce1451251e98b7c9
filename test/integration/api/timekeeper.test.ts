import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Loop } from '../../../services/api/loop.ts';
import { createTimekeepers } from '../../../services/api/timekeeper.ts';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import {
  deliver,
  freshKey,
  giftRequest,
  memoryLogger,
  postGift,
  startTestApi,
  stateOf,
  type TestApi,
  type TestSender,
} from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { passHalfTheirTime } from '../../support/gifts.ts';

let api: TestApi;
let sender: TestSender;
const running: Loop[] = [];
beforeAll(async () => {
  api = await startTestApi();
  sender = await api.sender();
});
afterAll(async () => {
  await Promise.all(running.map((loop) => loop.stop()));
  await api.close();
});

const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();

test('several at once: a due gift is queued once, a gift near its end is reminded once, a late one expires', async () => {
  const change = (column: string, id: string, value: string) =>
    api.database.pool.query(`update gifts set ${column} = $2 where id = $1`, [toUuid(id as GiftId), value]);
  const { body: due } = await postGift(api, sender, { ...giftRequest, deliver_at: inHours(1) });
  const { body: later } = await postGift(api, sender, { ...giftRequest, deliver_at: inHours(1) });
  const { body: ending } = await postGift(api, sender, { ...giftRequest, expires_at: inHours(2) });
  const { body: late } = await postGift(api, sender, { ...giftRequest, expires_at: inHours(2) });
  await deliver(api, ending.id);
  await deliver(api, late.id);
  await passHalfTheirTime(api.database.db, [ending.id]);
  await change('deliver_at', due.id, inHours(-1));
  await change('expires_at', late.id, inHours(-1));
  const key = freshKey();
  await postGift(api, sender, giftRequest, key);
  await api.database.pool.query(
    `update idempotency_keys set created_at = now() - interval '31 days' where key = $1`,
    [key],
  );

  const freshOne = freshKey();
  await postGift(api, sender, giftRequest, freshOne);
  await api.database.pool.query(`insert into budgets values ('ended', 1, 1, 1, 60, 1000, 0, 0, '{1}')`);

  const { logger, logged } = memoryLogger();
  const deps = { ...api.deps, logger, random: () => 0, remindBeforeSeconds: 86_400 };
  running.push(...createTimekeepers(deps), ...createTimekeepers(deps));
  for (const loop of running) loop.start();

  await eventually(async () => {
    expect(await stateOf(api, due.id)).toBe('queued');
    expect(await stateOf(api, late.id)).toBe('expired');
    const { rows } = await api.database.pool.query('select 1 from idempotency_keys where key = $1', [key]);
    expect(rows).toEqual([]);
    const budgets = await api.database.pool.query(`select 1 from budgets where key = 'ended'`);
    expect(budgets.rows).toEqual([]);
    const reminders = await api.database.db
      .selectFrom('deliveries')
      .select('gift_id')
      .where('purpose', '=', 'reminder')
      .execute();
    expect(reminders).toEqual([{ gift_id: toUuid(ending.id) }]);
  });
  const kept = await api.database.pool.query('select 1 from idempotency_keys where key = $1', [freshOne]);
  expect(kept.rows).toHaveLength(1);
  expect(await stateOf(api, later.id)).toBe('scheduled');
  expect(await stateOf(api, ending.id)).toBe('delivered');
  const { rows } = await api.database.pool.query(`select body from outbox where body like '%' || $1 || '%'`, [
    due.id,
  ]);
  expect(rows).toHaveLength(1);
  expect(logged()).toEqual([]);
});

test('several at once: a month that is missing is made once, and said', async () => {
  const { pool } = api.database;
  const { rows } = await pool.query(
    `select partition from month_partitions where "table" = 'audit_records' order by until_at desc nulls last limit 1`,
  );
  const [{ partition }] = rows;
  await pool.query(`alter table audit_records detach partition ${partition}`);
  await pool.query(`drop table ${partition}`);
  const { logger, logged } = memoryLogger();
  const deps = { ...api.deps, logger, random: () => 0, remindBeforeSeconds: 86_400 };
  const loops = [...createTimekeepers(deps), ...createTimekeepers(deps)];
  running.push(...loops);
  for (const loop of loops) loop.start();
  await eventually(() =>
    expect(logged().filter(({ event }) => event === 'month_made')).toMatchObject([{ partition }]),
  );
});
