import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { Loop } from '../../../services/api/loop.ts';
import { createTimekeepers } from '../../../services/api/timekeeper.ts';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import {
  deliver,
  giftRequest,
  memoryLogger,
  postGift,
  startTestApi,
  type TestApi,
} from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';

let api: TestApi;
let running: Loop[] = [];
beforeAll(async () => {
  api = await startTestApi();
});
afterEach(async () => {
  await Promise.all(running.map((loop) => loop.stop()));
  running = [];
});
afterAll(() => api.close());

const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

async function give(count: number, more: object): Promise<GiftId[]> {
  const sender = await api.sender({ amountMinor: 10_000_000 });
  const answers = await Promise.all(
    Array.from({ length: count }, () =>
      postGift(api, sender, { ...giftRequest, ...more }).then(({ body }) => body.id),
    ),
  );
  return answers as GiftId[];
}

/** The database refuses every change of these gifts' states, as a row does that some earlier release left behind. */
async function makeIllegal(ids: GiftId[]): Promise<void> {
  const list = sql.join(ids.map((id) => sql.lit(toUuid(id))));
  await sql`
    create or replace function refuse_these() returns trigger language plpgsql as $$
    begin
      raise exception 'this row is illegal' using errcode = 'check_violation', constraint = 'gifts_made_illegal';
    end $$`.execute(api.database.db);
  await sql`drop trigger if exists refuse_these on gifts`.execute(api.database.db);
  await sql`
    create trigger refuse_these before update of state, reminded_at on gifts for each row
      when (new.id in (${list})) execute function refuse_these()`.execute(api.database.db);
}

function startTimekeepers() {
  const { logger, logged } = memoryLogger();
  const deps = { ...api.deps, logger, random: () => 0, remindBeforeSeconds: 60 };
  running = createTimekeepers(deps);
  for (const loop of running) loop.start();
  return logged;
}

const change = (ids: GiftId[], column: string) =>
  api.database.pool.query(`update gifts set ${column} = now() - interval '1 minute' where id = any ($1)`, [
    ids.map((id) => toUuid(id)),
  ]);

async function statesOf(ids: GiftId[]): Promise<Record<string, number>> {
  const { rows } = await api.database.pool.query(
    'select state, count(*)::integer as count from gifts where id = any ($1) group by state',
    [ids.map((id) => toUuid(id))],
  );
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
}

const setAside = (logged: () => Record<string, unknown>[]) =>
  new Set(logged().flatMap(({ event, gift_id: id }) => (event === 'gift_set_aside' ? [id] : [])));

test.each([
  ['scheduled', 'queued', 'deliver_at', () => give(30, { deliver_at: inAnHour() })],
  ['queued', 'expired', 'expires_at', () => give(30, { expires_at: inAnHour() })],
] as const)(
  'illegal rows stop no sweep: of %s gifts they alone stay, by name, and all others are %s',
  async (was, becomes, column, gifts) => {
    const ids = await gifts();
    const illegal = [ids[0], ids[11], ids[29]] as GiftId[];
    await change(ids, column);
    await makeIllegal(illegal);
    const logged = startTimekeepers();
    await eventually(async () =>
      expect(await statesOf(ids)).toEqual({ [was]: illegal.length, [becomes]: ids.length - illegal.length }),
    );
    await eventually(() => expect(setAside(logged)).toEqual(new Set(illegal)));
    // Set aside they are left alone: once each, however often the sweep comes by.
    const lines = logged().filter(({ event }) => event === 'gift_set_aside');
    expect(lines).toHaveLength(illegal.length);
    await eventually(async () =>
      expect(await api.deps.metrics.render()).toMatchObject({
        body: expect.stringContaining('largesse_gifts_set_aside'),
      }),
    );
  },
);

test('one sender’s locked balance stops nobody else’s gifts from expiring', async () => {
  const [held] = await give(1, { expires_at: inAnHour() });
  const others = await give(12, { expires_at: inAnHour() });
  await deliver(api, others[3] as GiftId);
  const holder = await api.database.pool.connect();
  await holder.query('begin');
  await holder.query(
    'select pg_advisory_xact_lock(ledger_lock_key(funding_account_id)) from gifts where id = $1',
    [toUuid(held as GiftId)],
  );
  await change([held as GiftId, ...others], 'expires_at');
  startTimekeepers();
  await eventually(async () => expect(await statesOf(others)).toEqual({ expired: others.length }), {
    timeoutMs: 20_000,
  });
  expect(await statesOf([held as GiftId])).toEqual({ queued: 1 });
  await holder.query('rollback');
  holder.release();
});
