import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { violatedConstraint } from '../../../services/database/errors.ts';
import type { LedgerAccountKind, TransferKind } from '../../../services/database/states.ts';
import { ownAccountKinds, transferRules } from '../../../services/database/transfer-kinds.ts';
import { type GiftId, newUuid, toUuid } from '../../../services/domain/ids.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { accept, draftGift, type FundedSender, fundedSender } from '../../support/gifts.ts';

const accountKinds = [
  ...new Set(Object.values(transferRules).flatMap(({ from, to }) => [from, to])),
].toSorted();

let database: TestDatabase;
const accounts = new Map<string, string>();
beforeAll(async () => {
  database = await createTestDatabase();
  const [sender, funding] = [newUuid(), newUuid()];
  await sql`insert into senders (id, name) values (${sender}, 'sender')`.execute(database.db);
  await sql`insert into funding_accounts (id, sender_id, currency) values (${funding}, ${sender}, 'EUR')`.execute(
    database.db,
  );
  for (const kind of accountKinds) {
    const id = newUuid();
    accounts.set(kind, id);
    await sql`insert into ledger_accounts (id, kind, funding_account_id, currency, balance_minor)
      values (${id}, ${kind}, ${ownAccountKinds.includes(kind) ? funding : null}, 'EUR',
        ${kind === 'available' || kind === 'reserved' ? 0 : null})`.execute(database.db);
  }
});
afterAll(() => database.drop());

/** What refuses a transfer as it is written; undefined when nothing does. It never commits. */
async function refusal(statements: ReturnType<typeof sql>[]): Promise<string | undefined> {
  class NotCommitted extends Error {}
  const work = database.db.transaction().execute(async (trx) => {
    for (const statement of statements) await statement.execute(trx);
    throw new NotCommitted();
  });
  const error = await work.catch((caught: unknown) => caught);
  if (!(error instanceof NotCommitted) && violatedConstraint(error) === undefined) throw error;
  return violatedConstraint(error);
}

const subjects = ['gift', 'topup', 'voucher', 'funding_account'];

function transfer(id: string, kind: string, subject: string, cause: string | null) {
  const named = { gift: sql`gift_id`, topup: sql`topup_id` }[subject];
  return named
    ? sql`insert into ledger_transfers (id, kind, ${named}, cause_id) values (${id}, ${kind}, ${newUuid()}, ${cause})`
    : sql`insert into ledger_transfers (id, kind, subject_kind, subject_id, cause_id)
        values (${id}, ${kind}, ${subject}, ${newUuid()}, ${cause})`;
}

test('each kind of transfer moves money between its two accounts and no others: database and table say the same', async () => {
  const entry = async (kind: TransferKind, from: LedgerAccountKind, to: LedgerAccountKind) => {
    const id = newUuid();
    const { subject, once } = transferRules[kind];
    return await refusal([
      sql`set local session_replication_role = replica`,
      transfer(id, kind, subject, once === 'cause' ? newUuid() : null),
      sql`set local session_replication_role = origin`,
      sql`insert into ledger_entries (transfer_id, account_id, currency, amount_minor)
        values (${id}, ${accounts.get(from)}, 'EUR', -5), (${id}, ${accounts.get(to)}, 'EUR', 5)`,
    ]);
  };
  for (const kind of Object.keys(transferRules) as TransferKind[]) {
    const { from, to } = transferRules[kind];
    const fits = async (one: LedgerAccountKind, other: LedgerAccountKind) =>
      one !== other && (await entry(kind, one, other)) !== 'ledger_entries_fit_transfer';
    for (const account of accountKinds) {
      const found = { kind, account, gives: await fits(account, to), gets: await fits(from, account) };
      expect(found).toEqual({ kind, account, gives: account === from, gets: account === to });
    }
  }
}, 120_000);

test('each kind of transfer is about its kind of subject and no other: database and table say the same', async () => {
  const legal: string[] = [];
  for (const [kind, { once }] of Object.entries(transferRules)) {
    for (const subject of subjects) {
      const refused = await refusal([
        transfer(newUuid(), kind, subject, once === 'cause' ? newUuid() : null),
      ]);
      if (refused !== 'ledger_transfers_subject_fits') legal.push(`${kind}: ${subject}`);
    }
  }
  expect(legal).toEqual(Object.entries(transferRules).map(([kind, { subject }]) => `${kind}: ${subject}`));
});

test('what its subject causes is caused once, and what can happen again names its cause', async () => {
  for (const [kind, { subject, once }] of Object.entries(transferRules)) {
    const wrong = once === 'cause' ? null : newUuid();
    expect(await refusal([transfer(newUuid(), kind, subject, wrong)])).toBe('ledger_transfers_cause_named');
  }
});

test('a transfer of a kind that there is not is refused', async () => {
  expect(await refusal([transfer(newUuid(), 'gift', 'gift', null)])).toMatch(/^ledger_transfers_/);
});

test('a transfer moves no money of another funding account than that of its subject, when it is written or later', async () => {
  const { db } = database;
  const [mine, theirs] = [await fundedSender(db, 10_000), await fundedSender(db, 10_000)];
  const { gifts } = await accept(db, [draftGift(mine)]);
  const gift = toUuid(gifts[0]?.id as GiftId);
  const accountOf = (sender: FundedSender, kind: string) => sql`(select a.id from ledger_accounts a
    join funding_accounts f on f.id = a.funding_account_id where f.sender_id = ${toUuid(sender.senderId)} and a.kind = ${kind})`;
  const entries = (
    id: ReturnType<typeof sql>,
    from: ReturnType<typeof sql>,
    to: ReturnType<typeof sql>,
  ) => sql`
    insert into ledger_entries (transfer_id, account_id, currency, amount_minor)
    values (${id}, ${from}, 'EUR', -2500), (${id}, ${to}, 'EUR', 2500)`;
  const reserve = sql`(select id from ledger_transfers where gift_id = ${gift})`;
  const cancelled = (to: FundedSender) => {
    const id = newUuid();
    return sql`with ended as (update gifts set state = 'cancelled' where id = ${gift}),
      moved as (insert into ledger_transfers (id, kind, gift_id) values (${id}, 'release', ${gift})),
      written as (${entries(sql`${id}::uuid`, accountOf(mine, 'reserved'), accountOf(to, 'available'))}) select`;
  };
  expect(await refusal([cancelled(mine)])).toBeUndefined();
  expect(await refusal([cancelled(theirs)])).toBe('ledger_entries_fit_subject');
  expect(
    await refusal([entries(reserve, accountOf(theirs, 'available'), accountOf(theirs, 'reserved'))]),
  ).toBe('ledger_entries_fit_subject');
  const fee = newUuid();
  expect(
    await refusal([
      sql`insert into ledger_transfers (id, kind, subject_kind, subject_id, cause_id)
        select ${fee}, 'fee', 'funding_account', id, ${newUuid()} from funding_accounts
        where sender_id = ${toUuid(mine.senderId)}`,
      entries(
        sql`${fee}::uuid`,
        accountOf(theirs, 'available'),
        sql`(select id from ledger_accounts where kind = 'fees' and currency = 'EUR')`,
      ),
    ]),
  ).toBe('ledger_entries_fit_subject');
});
