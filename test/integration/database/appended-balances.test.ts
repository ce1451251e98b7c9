import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql, type Transaction } from 'kysely';
import pg from 'pg';
import { boundsFor } from '../../../services/database/bounds.ts';
import { createDatabase } from '../../../services/database/client.ts';
import type { Database } from '../../../services/database/schema.ts';
import { newUuid, toUuid } from '../../../services/domain/ids.ts';
import { postTransfers } from '../../../services/domain/ledger/post-transfers.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { accept, draftGift, type FundedSender, fundedSender } from '../../support/gifts.ts';

let database: TestDatabase;
beforeAll(async () => {
  // One connection: what it planned while the tables were tiny is what it goes on with.
  database = await createTestDatabase({ poolMax: 1 });
});
afterAll(() => database.drop());

async function balancesKept(sender: FundedSender): Promise<{ kept: number; available: number }> {
  const { rows } = await sql<{ kept: number; available: number }>`
    select count(*)::int as kept, (select balance_minor::int from ledger_account_balances where id = a.id) as available
    from funding_accounts f join ledger_accounts a on a.funding_account_id = f.id and a.kind = 'available'
    join ledger_balances b on b.account_id = a.id
    where f.sender_id = ${toUuid(sender.senderId)} group by a.id`.execute(database.db);
  return rows[0] ?? { kept: 0, available: 0 };
}

test('an account keeps its newest balance and at most sixteen of before, however often it moves', async () => {
  const sender = await fundedSender(database.db, 1_000_000);
  for (let gift = 1; gift <= 70; gift += 1) {
    await accept(database.db, [draftGift(sender)]);
    const { kept, available } = await balancesKept(sender);
    expect(kept).toBeLessThanOrEqual(17);
    expect(available).toBe(1_000_000 - gift * 2_500);
  }
});

test('an old balance that somebody holds is passed by, and nobody waits for it', async () => {
  const sender = await fundedSender(database.db, 1_000_000);
  const other = await createHolder();
  await accept(database.db, [draftGift(sender)]);
  await other.hold('select from ledger_balances for update');
  for (let gift = 0; gift < 40; gift += 1) await accept(database.db, [draftGift(sender)]);
  await other.letGo();
  expect((await balancesKept(sender)).available).toBe(1_000_000 - 41 * 2_500);
});

test.each([
  ['repeatable read', 2],
  ['repeatable read', 40],
  ['serializable', 40],
] as const)('%s: who has not seen the %i movements since moves nothing', async (isolation, movements) => {
  const sender = await fundedSender(database.db, 1_000_000);
  const late = await createTestClient();
  const snapshot = late.db.transaction().setIsolationLevel(isolation);
  const moved = snapshot.execute(async (trx) => {
    await sql`select from ledger_balances`.execute(trx);
    for (let gift = 0; gift < movements; gift += 1) await accept(database.db, [draftGift(sender)]);
    await charge(trx, sender);
  });
  await expect(moved).rejects.toMatchObject({ code: expect.stringMatching(/^(40001|23505)$/) });
  await late.db.destroy();
  expect((await balancesKept(sender)).available).toBe(1_000_000 - movements * 2_500);
  const { rows } = await sql<{ differing: number }>`
    select count(*)::int as differing from ledger_account_balances b where balance_minor <>
      coalesce((select sum(amount_minor) from ledger_entries e where e.account_id = b.id), 0)`.execute(
    database.db,
  );
  expect(rows[0]?.differing).toBe(0);
});

test('what other accounts have is not read, by plans that were made while there was next to none', async () => {
  const sender = await fundedSender(database.db, 1_000_000);
  const acceptTwo = () => accept(database.db, [draftGift(sender), draftGift(sender)]);
  for (let gift = 0; gift < 10; gift += 1) await acceptTwo();
  await sql`analyze ledger_accounts, ledger_balances`.execute(database.db);
  for (let gift = 0; gift < 10; gift += 1) await acceptTwo();
  await sql`
    with funded as (
      insert into senders (id, name) select gen_random_uuid(), 'another' from generate_series(1, 3000) returning id
    ), accounts as (
      insert into funding_accounts (id, sender_id, currency) select gen_random_uuid(), id, 'EUR' from funded returning id
    ), own as (
      insert into ledger_accounts (id, kind, funding_account_id, currency, balance_minor)
      select gen_random_uuid(), kind, id, 'EUR', 0 from accounts, (values ('available'), ('reserved')) as k (kind)
      returning id
    ) insert into ledger_balances (account_id, seq, balance_minor, folded_at) select id, 1, 0, now() from own`.execute(
    database.db,
  );
  const read = await database.db.transaction().execute(async (trx) => {
    const before = await rowsRead(trx);
    await accept(trx, [draftGift(sender), draftGift(sender)]);
    return (await rowsRead(trx)) - before;
  });
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThan(60);
});

/** Entries of indexes and rows of accounts and balances that this session has fetched. */
async function rowsRead(trx: Transaction<Database>): Promise<number> {
  const { rows } = await sql<{ read: number }>`
    select sum(pg_stat_get_xact_tuples_fetched(oid) + pg_stat_get_xact_tuples_returned(oid))::int as read
    from pg_class where relname ~ '^ledger_(accounts|balances)'`.execute(trx);
  return rows[0]?.read ?? 0;
}

async function charge(trx: Transaction<Database>, sender: FundedSender): Promise<void> {
  const { id: fundingAccountId } = await trx
    .selectFrom('funding_accounts')
    .select('id')
    .where('sender_id', '=', toUuid(sender.senderId))
    .executeTakeFirstOrThrow();
  const fee = { kind: 'fee', causeId: newUuid(), currency: 'EUR', amountMinor: 7 } as const;
  await postTransfers(trx, [{ ...fee, subjectId: fundingAccountId, fundingAccountId }]);
}

/** Beside the one connection of the others. */
function createTestClient() {
  return createDatabase({
    connectionString: database.url,
    poolMax: 1,
    applicationName: 'late',
    bounds: boundsFor(12_000),
  });
}

async function createHolder() {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  return {
    hold: async (statement: string) => {
      await client.query('begin');
      await client.query(statement);
    },
    letGo: () => client.end(),
  };
}
