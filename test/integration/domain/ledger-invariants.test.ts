import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { sql, type Transaction } from 'kysely';
import type { InvariantName } from '../../../services/database/queries/ledger-invariants.ts';
import type { LifecycleInvariantName } from '../../../services/database/queries/lifecycle-invariants.ts';
import type { Database } from '../../../services/database/schema.ts';
import { claimToken } from '../../../services/domain/gifts/claim-token.ts';
import { claimVoucher } from '../../../services/domain/gifts/claim-voucher.ts';
import { failGifts } from '../../../services/domain/gifts/end-gifts.ts';
import { type GiftId, newUuid, toUuid } from '../../../services/domain/ids.ts';
import { closeLedger, recountBalances, recountLedger } from '../../../services/domain/ledger/close-ledger.ts';
import { checkLedger } from '../../../services/domain/ledger/invariants.ts';
import { eventually } from '../../support/eventually.ts';
import { cancel, keyring } from '../../support/gifts.ts';
import { failure, openStage, type Stage, system } from './stage.ts';

/** One gift of every fate, as the database knows them; each of 2,500 cents of a sender of its own. */
type AnyInvariant = InvariantName | LifecycleInvariantName;
type Fates = Record<'queued' | 'delivered' | 'claimed' | 'failed' | 'cancelled' | 'returned', string>;

let stage: Stage;
let fates: Fates;
beforeEach(async () => {
  stage = await openStage();
  fates = await giftsOfEveryFate(stage);
});
afterEach(() => stage.close());

async function giftsOfEveryFate({ db, acceptOne, claimOne, sent, transaction }: Stage): Promise<Fates> {
  const accepted = async () => (await acceptOne()).id;
  const delivered = async () => {
    const id = await accepted();
    await sent(await claimOne(id));
    return id;
  };
  const gifts = {
    queued: await accepted(),
    delivered: await delivered(),
    claimed: await delivered(),
    failed: await accepted(),
    cancelled: await accepted(),
    returned: await delivered(),
  };
  const { class: failureClass, code } = failure;
  await transaction((trx) => failGifts(trx, [{ id: gifts.failed, class: failureClass, code }], system));
  for (const id of [gifts.cancelled, gifts.returned]) await cancel(db, id);
  const proof = {
    token: claimToken(keyring, gifts.claimed, 1),
    idempotencyKey: 'claimed',
    requestId: null,
  };
  await transaction((trx) => claimVoucher(trx, { keyring }, proof));
  const ids = Object.entries(gifts).map(([fate, id]: [string, GiftId]) => [fate, toUuid(id)]);
  return Object.fromEntries(ids) as Fates;
}

/** What somebody does to the tables who may switch off their triggers. */
const tamper = (work: (trx: Transaction<Database>) => Promise<unknown>) =>
  stage.transaction(async (trx) => {
    await sql`set local session_replication_role = replica`.execute(trx);
    await work(trx);
  });

async function broken(): Promise<Partial<Record<AnyInvariant, number>>> {
  const invariants = await checkLedger(stage.db);
  for (const { actual, ok } of invariants) expect(ok).toBe(actual === 0);
  return Object.fromEntries(invariants.filter(({ ok }) => !ok).map(({ name, actual }) => [name, actual]));
}

const transferOf = (giftId: string, kind: string) =>
  sql`(select id from ledger_transfers where gift_id = ${giftId} and kind = ${kind})`;
const accountOf = (giftId: string, kind: string) =>
  sql`(select a.id from ledger_accounts a join gifts g using (funding_account_id) where g.id = ${giftId} and a.kind = ${kind})`;

test('all hold over gifts of every fate', async () => {
  expect(await checkLedger(stage.db)).toHaveLength(17);
  expect(await broken()).toEqual({});
});

type Tampering = {
  what: string;
  by: (gifts: Fates) => ReturnType<typeof sql>[];
  breaks: Partial<Record<AnyInvariant, number>>;
};

const tamperings: Tampering[] = [
  {
    what: 'a delivery is to be made again of a gift that is claimed',
    by: ({ claimed }) => [sql`update deliveries set state = 'deferred' where gift_id = ${claimed}`],
    breaks: { ended_gifts_send_nothing: 1 },
  },
  {
    what: 'an attempt is open whose delivery is sent',
    by: ({ delivered }) => [
      sql`update delivery_attempts set outcome = 'started'
        where delivery_id in (select id from deliveries where gift_id = ${delivered})`,
    ],
    breaks: { attempts_end_with_deliveries: 1 },
  },
  {
    what: 'a reminder is with a worker that is gone',
    by: ({ delivered }) => [
      sql`insert into deliveries (id, gift_id, purpose, channel, state, lease_until)
        values (gen_random_uuid(), ${delivered}, 'reminder', 'email', 'sending', now() - interval '2 hours')`,
    ],
    breaks: { reminders_have_a_worker: 1 },
  },
  {
    what: 'a cent is added to one entry',
    by: ({ failed }) => [
      sql`update ledger_entries set amount_minor = amount_minor + 1
        where transfer_id = ${transferOf(failed, 'release')} and amount_minor > 0`,
    ],
    breaks: { sum_is_zero: 1, transfers_balanced: 1, balances_match_entries: 1 },
  },
  {
    what: 'the entries of a transfer vanish',
    by: ({ failed }) => [
      sql`delete from ledger_entries where transfer_id = ${transferOf(failed, 'release')}`,
    ],
    breaks: { transfers_not_empty: 1, balances_match_entries: 2, reserved_matches_gifts: 1 },
  },
  {
    what: 'a balance is rewritten',
    by: ({ queued }) => [
      sql`update ledger_balances set balance_minor = balance_minor + 7
        where account_id = ${accountOf(queued, 'available')}`,
    ],
    breaks: { balances_match_entries: 1 },
  },
  {
    what: 'a balance goes below zero',
    by: ({ queued }) => [
      sql`alter table ledger_balances drop constraint ledger_accounts_balance_not_negative`,
      sql`update ledger_balances set balance_minor = -1 where account_id = ${accountOf(queued, 'available')}`,
    ],
    breaks: { balances_not_negative: 1, balances_match_entries: 1 },
  },
  {
    what: 'a reservation is of another amount than its gift',
    by: ({ delivered }) => [sql`update gifts set amount_minor = 2499 where id = ${delivered}`],
    breaks: { reserved_once: 1, one_voucher_per_delivered_gift: 1 },
  },
  {
    what: 'a gift under way has no reservation',
    by: ({ queued }) => [
      sql`delete from ledger_entries where transfer_id = ${transferOf(queued, 'reserve')}`,
      sql`delete from ledger_transfers where gift_id = ${queued}`,
    ],
    breaks: {
      reserved_once: 1,
      reserved_matches_gifts: 1,
      under_way_only_reserved: 1,
      balances_match_entries: 2,
    },
  },
  {
    what: 'a gift that ended is under way again',
    by: ({ failed }) => [sql`update gifts set state = 'queued' where id = ${failed}`],
    breaks: { under_way_only_reserved: 1, reserved_matches_gifts: 1 },
  },
  {
    what: 'a gift is said to be delivered that never was',
    by: ({ queued }) => [sql`update gifts set state = 'delivered' where id = ${queued}`],
    breaks: { delivered_committed: 1, reserved_matches_gifts: 1, one_voucher_per_delivered_gift: 1 },
  },
  {
    what: 'a gift whose money went back is delivered again',
    by: ({ returned }) => [sql`update gifts set state = 'delivered' where id = ${returned}`],
    breaks: { delivered_committed: 1 },
  },
  {
    what: 'a gift failed and keeps the money',
    by: ({ queued }) => [sql`update gifts set state = 'failed' where id = ${queued}`],
    breaks: { ended_refunded: 1, reserved_matches_gifts: 1 },
  },
  {
    what: 'a cancelled gift keeps the money that was committed',
    by: ({ delivered }) => [sql`update gifts set state = 'cancelled' where id = ${delivered}`],
    breaks: { ended_refunded: 1, outstanding_matches_vouchers: 2_500 },
  },
  {
    what: 'the voucher of a delivered gift vanishes',
    by: ({ delivered }) => [sql`delete from vouchers where gift_id = ${delivered}`],
    breaks: { one_voucher_per_delivered_gift: 1, outstanding_matches_vouchers: 2_500 },
  },
  {
    what: 'a second voucher is issued for one gift',
    by: ({ delivered }) => [
      sql`alter table vouchers drop constraint vouchers_one_per_gift`,
      sql`insert into vouchers (id, gift_id, amount_minor, balance_minor, currency, code_salt, code_hash)
        select ${newUuid()}, gift_id, amount_minor, balance_minor, currency, code_salt, '\\x00'
        from vouchers where gift_id = ${delivered}`,
    ],
    breaks: { one_voucher_per_delivered_gift: 1, outstanding_matches_vouchers: 2_500 },
  },
  {
    what: 'a claim vanishes',
    by: ({ claimed }) => [sql`delete from claims where gift_id = ${claimed}`],
    breaks: { one_claim_per_claimed_gift: 1 },
  },
  {
    what: 'a claimed gift can be claimed again',
    by: ({ claimed }) => [sql`update gifts set state = 'delivered' where id = ${claimed}`],
    breaks: { one_claim_per_claimed_gift: 1 },
  },
];

test.each(tamperings)('is found: $what', async ({ by, breaks }) => {
  await tamper(async (trx) => {
    for (const statement of by(fates)) await statement.execute(trx);
  });
  expect(await broken()).toEqual(breaks);
});

const steps = {
  closeTransfers: 4,
  recountGifts: 2,
  recountAccounts: 5,
  restSeconds: 0,
  marginSeconds: 0,
  shortestSeconds: 0,
};

/** How long a transaction in the database of another test may last. */
const neighbours = { timeoutMs: 20_000 };

/**
 * Until nothing is open, and then as if all had been closed long ago. How many steps that takes depends on the neighbours: a
 * period is closed once every transaction that ran when it was marked has ended, and those of other databases count too.
 */
async function closeAll(): Promise<void> {
  const open = sql<{ open: boolean }>`
    select exists (select from ledger_transfers, ledger_closing where created_at > closed_until) as open`;
  await eventually(async () => {
    await closeLedger(stage.db, steps);
    expect((await open.execute(stage.db)).rows).toEqual([{ open: false }]);
  }, neighbours);
  await sql`update ledger_closing set closed_until = closed_until + interval '1 hour'`.execute(stage.db);
}

async function recountAll(): Promise<void> {
  for (let step = 0; step < 12; step += 1) {
    await recountLedger(stage.db, steps);
    await recountBalances(stage.db, steps);
  }
}

test('closed in steps and recounted, all still hold, and it is told since when', async () => {
  await closeAll();
  const { rows } = await sql<{ transfers: number; largest: number; all: number }>`
    select sum(transfers)::int as transfers, max(transfers) as largest,
      (select count(*)::int from ledger_transfers) as all from ledger_periods`.execute(stage.db);
  expect(rows).toEqual([{ transfers: rows[0]?.all, largest: steps.closeTransfers, all: rows[0]?.all }]);
  await recountAll();
  expect(await broken()).toEqual({});
  const [first] = await checkLedger(stage.db);
  expect(first).toMatchObject({ closedUntil: expect.any(Date), recountedAt: expect.any(Date) });
});

test.each(tamperings)(
  'is found by the recount when it was closed long ago: $what',
  async ({ by, breaks }) => {
    await closeAll();
    await tamper(async (trx) => {
      for (const statement of by(fates)) await statement.execute(trx);
    });
    await recountAll();
    const { closed_periods_unchanged: changed, ...found } = await broken();
    expect(found).toEqual(breaks);
    const rewritten = by(fates).some((one) => one.compile(stage.db).sql.includes('ledger_entries'));
    expect(changed).toBe(rewritten ? 1 : undefined);
  },
);

test('a closed period that is changed and put right again is sound at the next recount', async () => {
  await closeAll();
  const change = (by: number) =>
    tamper((trx) =>
      sql`update ledger_entries set amount_minor = amount_minor + ${by}
    where transfer_id = ${transferOf(fates.failed, 'release')} and amount_minor > ${1_000}`.execute(trx),
    );
  await change(1);
  await recountAll();
  expect(await broken()).toMatchObject({ closed_periods_unchanged: 1, sum_is_zero: 1 });
  await change(-1);
  await recountAll();
  expect(await broken()).toEqual({});
});

test('what is posted while the database’s clock is behind what is closed is counted like everything else', async () => {
  await closeAll();
  await sql`update ledger_periods set until_at = until_at + interval '1 hour' where id = (select max(id) from ledger_periods)`.execute(
    stage.db,
  );
  await sql`update ledger_closing set closed_until = (select max(until_at) from ledger_periods)`.execute(
    stage.db,
  );
  await stage.sent(await stage.claimOne((await stage.acceptOne()).id));
  expect(await broken()).toEqual({});
  await recountAll();
  expect(await broken()).toEqual({});
});

test('a round that has ended is not begun again at once: a ledger that is quiet costs nothing', async () => {
  await closeAll();
  await recountAll();
  const place = () =>
    sql`select recount_period, recount_gift, recount_account, periods_recounted_at, gifts_recounted_at,
      accounts_recounted_at from ledger_closing`
      .execute(stage.db)
      .then(({ rows }) => rows);
  const round = { ...steps, closeTransfers: 100, recountGifts: 100, recountAccounts: 1_000 };
  const ended = async () =>
    (
      await sql<{ n: number }>`select count(*)::int as n from ledger_closing
    where recount_period = 0 and recount_gift = '00000000-0000-0000-0000-000000000000'
      and recount_account = '00000000-0000-0000-0000-000000000000'`.execute(stage.db)
    ).rows[0]?.n;
  await sql`update ledger_closing set recount_period = (select max(id) from ledger_periods)`.execute(
    stage.db,
  );
  await recountLedger(stage.db, round);
  await recountBalances(stage.db, round);
  expect(await ended()).toBe(1);
  const before = await place();
  const resting = { ...round, restSeconds: 600 };
  await recountLedger(stage.db, resting);
  await recountBalances(stage.db, resting);
  expect(await place()).toEqual(before);
});

test('a process that finds another at the recount leaves it its place in the round', async () => {
  await closeAll();
  await recountLedger(stage.db, steps);
  const place = () =>
    sql`select recount_period, periods_recounted_at from ledger_closing`
      .execute(stage.db)
      .then(({ rows }) => rows);
  const before = await place();
  expect(before).toEqual([{ recount_period: 1, periods_recounted_at: null }]);
  await stage.transaction(async (trx) => {
    await sql`select from ledger_closing for update`.execute(trx);
    await recountLedger(stage.db, steps);
  });
  expect(await place()).toEqual(before);
});

test('transfers that trickle in share a period, and what is in none yet is looked at by each reading', async () => {
  await closeAll();
  await sql`update ledger_closing set closed_until = closed_until - interval '1 hour'`.execute(stage.db);
  const periods = () =>
    sql<{ n: number }>`select count(*)::int as n from ledger_periods`
      .execute(stage.db)
      .then(({ rows }) => rows[0]?.n ?? 0);
  const before = await periods();
  const patient = { ...steps, closeTransfers: 100, shortestSeconds: 7_200 };
  for (let gift = 0; gift < 3; gift += 1) {
    await stage.acceptOne();
    for (let step = 0; step < 3; step += 1) await closeLedger(stage.db, patient);
  }
  expect(await periods()).toBe(before);
  expect(await broken()).toEqual({});
  await eventually(async () => {
    await closeLedger(stage.db, { ...patient, shortestSeconds: 0 });
    expect(await periods()).toBe(before + 1);
  }, neighbours);
  expect(await broken()).toEqual({});
});

test('what is still running is not closed before it has ended, whatever began after it', async () => {
  await closeAll();
  const slow = await stage.pool.connect();
  await slow.query('begin');
  await slow.query('select pg_current_xact_id()');
  await sql`update ledger_closing set closed_until = clock_timestamp()`.execute(stage.db);
  await stage.acceptOne();
  const closed = async () =>
    (
      await sql<{ n: number }>`select coalesce(sum(transfers), 0)::int as n from ledger_periods`.execute(
        stage.db,
      )
    ).rows[0]?.n;
  const before = await closed();
  for (let step = 0; step < 4; step += 1) await closeLedger(stage.db, steps);
  expect(await closed()).toBe(before);
  await slow.query('commit');
  slow.release();
  await eventually(async () => {
    await closeLedger(stage.db, steps);
    expect(await closed()).toBeGreaterThan(before ?? 0);
  }, neighbours);
});

test('every invariant is broken by one of these at least', async () => {
  const names = (await checkLedger(stage.db)).map(({ name }) => name);
  const found = tamperings.flatMap(({ breaks }) => Object.keys(breaks));
  expect(new Set([...found, 'closed_periods_unchanged'])).toEqual(new Set(names));
});

test('all are of one moment, whatever is written while they are read', async () => {
  const waiting = async () => {
    const { rows } = await stage.pool.query(
      `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return rows.length;
  };
  let reading: ReturnType<typeof broken> | undefined;
  await tamper(async (trx) => {
    await sql`lock table claims in access exclusive mode`.execute(trx);
    reading = broken();
    await eventually(async () => expect(await waiting()).toBe(1));
    await sql`delete from claims`.execute(trx);
  });
  expect(await reading).toEqual({});
  expect(await broken()).toEqual({ one_claim_per_claimed_gift: 1 });
});
