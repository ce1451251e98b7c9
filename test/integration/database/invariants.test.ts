import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { violatedConstraint } from '../../../services/database/errors.ts';
import { deliveryTransitions } from '../../../services/domain/deliveries/delivery.ts';
import { giftTransitions } from '../../../services/domain/gifts/gift.ts';
import { newUuid, toUuid } from '../../../services/domain/ids.ts';
import { topupTransitions } from '../../../services/domain/payments/topup.ts';
import { voucherTransitions } from '../../../services/domain/vouchers/voucher.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { accept, draftGift, fundedSender } from '../../support/gifts.ts';

describe('the schema refuses', () => {
  let database: TestDatabase;
  let giftId: string;
  let accounts: { available: string; reserved: string; fees: string };

  beforeAll(async () => {
    database = await createTestDatabase();
    const sender = await fundedSender(database.db, 10_000);
    const { gifts } = await accept(database.db, [draftGift(sender)]);
    giftId = toUuid(gifts[0]?.id ?? 'gft_');
    const rows = await database.db.selectFrom('ledger_accounts').select(['id', 'kind']).execute();
    const of = (kind: string) => rows.find((row) => row.kind === kind)?.id ?? '';
    accounts = { available: of('available'), reserved: of('reserved'), fees: newUuid() };
    await sql`insert into ledger_accounts (id, kind, currency) values (${accounts.fees}, 'fees', 'EUR')`.execute(
      database.db,
    );
  });
  afterAll(() => database.drop());

  async function refusal(work: (trx: typeof database.db) => Promise<unknown>): Promise<string | undefined> {
    const error = await database.db
      .transaction()
      .execute((trx) => work(trx))
      .then(
        () => undefined,
        (caught: unknown) => caught,
      );
    return violatedConstraint(error);
  }

  type Transitions = Readonly<Record<string, readonly string[]>>;

  /** Walks a row through every pair of states, with the triggers off for setting it up and on for the step. */
  async function legalSteps(table: string, id: string, transitions: Transitions): Promise<Set<string>> {
    const states = Object.keys(transitions);
    const legal = new Set<string>();
    for (const from of states) {
      for (const to of states.filter((state) => state !== from)) {
        const refused = await refusal(async (trx) => {
          await sql`set local session_replication_role = replica`.execute(trx);
          await sql`update ${sql.table(table)} set state = ${from} where id = ${id}`.execute(trx);
          await sql`set local session_replication_role = origin`.execute(trx);
          await sql`update ${sql.table(table)} set state = ${to} where id = ${id}`.execute(trx);
          // Money does not come along: what ties it to states is not asked, as this never commits.
          throw new NotCommitted();
        });
        if (refused === undefined || refused === 'gifts_money_fits_state') legal.add(`${from}>${to}`);
        else expect(refused).toBe(`${table}_transition_legal`);
      }
    }
    return legal;
  }

  /** The tables that have states, with a row of each to try them on. */
  const machines: Readonly<Record<string, { transitions: Transitions; row: () => Promise<string> }>> = {
    gifts: {
      transitions: giftTransitions,
      row: async () => {
        await sql`update gifts set deliver_at = now() where id = ${giftId}`.execute(database.db);
        return giftId;
      },
    },
    vouchers: {
      transitions: voucherTransitions,
      row: async () => {
        const id = newUuid();
        await sql`insert into vouchers (id, gift_id, amount_minor, balance_minor, currency, code_salt, code_hash)
          values (${id}, ${giftId}, 100, 100, 'EUR', ${Buffer.alloc(16)}, ${Buffer.alloc(32)})`.execute(
          database.db,
        );
        return id;
      },
    },
    deliveries: {
      transitions: deliveryTransitions,
      row: async () => {
        const id = newUuid();
        await sql`insert into deliveries (id, gift_id, purpose, channel, state)
          values (${id}, ${giftId}, 'gift', 'email', 'sending')`.execute(database.db);
        return id;
      },
    },
    topups: {
      transitions: topupTransitions,
      row: async () => (await database.db.selectFrom('topups').select('id').executeTakeFirstOrThrow()).id,
    },
  };

  test.each(Object.entries(machines))(
    'every transition of %s that their state machine does not have',
    async (table, { transitions, row }) => {
      const known = Object.entries(transitions).flatMap(([from, all]) => all.map((to) => `${from}>${to}`));
      expect(await legalSteps(table, await row(), transitions)).toEqual(new Set(known));
    },
  );

  test('a second voucher for a gift', async () => {
    const insert = (id: string, hash: Buffer) => (trx: typeof database.db) =>
      sql`insert into vouchers (id, gift_id, amount_minor, balance_minor, currency, code_salt, code_hash)
        select ${id}, g.id, 100, 100, 'EUR', ${Buffer.alloc(16)}, ${hash} from gifts g limit 1`.execute(trx);
    expect(
      await refusal(async (trx) => {
        await sql`delete from vouchers`.execute(trx);
        await insert(newUuid(), Buffer.alloc(32, 1))(trx);
        await insert(newUuid(), Buffer.alloc(32, 2))(trx);
      }),
    ).toBe('vouchers_one_per_gift');
  });

  /** A fee: of all kinds the one that needs no more than a funding account. */
  async function transfer(
    trx: typeof database.db,
    entries: [string, number][],
    id = newUuid(),
  ): Promise<void> {
    await sql`insert into ledger_transfers (id, kind, subject_kind, subject_id, cause_id)
      select ${id}, 'fee', 'funding_account', id, ${newUuid()} from funding_accounts limit 1`.execute(trx);
    if (entries.length === 0) return;
    const rows = entries.map(([account, amount]) => ({
      transfer_id: id,
      account_id: account,
      currency: 'EUR',
      amount_minor: amount,
    }));
    await trx.insertInto('ledger_entries').values(rows).execute();
  }

  test('a transfer that does not balance', async () => {
    const entries: [string, number][] = [
      [accounts.fees, 10],
      [accounts.available, -9],
    ];
    expect(await refusal((trx) => transfer(trx, entries))).toBe('ledger_transfers_balanced');
    expect(await refusal((trx) => transfer(trx, [[accounts.available, 10]]))).toBe(
      'ledger_transfers_balanced',
    );
  });

  test('a transfer without entries', async () => {
    expect(await refusal((trx) => transfer(trx, []))).toBe('ledger_transfers_have_entries');
  });

  test('an overdraft', async () => {
    const entries: [string, number][] = [
      [accounts.available, -1_000_000],
      [accounts.fees, 1_000_000],
    ];
    expect(await refusal((trx) => transfer(trx, entries))).toBe('ledger_accounts_balance_not_negative');
  });

  test("entries in another currency than their account's", async () => {
    const id = newUuid();
    expect(
      await refusal(async (trx) => {
        await transfer(trx, [], id);
        await sql`insert into ledger_entries (transfer_id, account_id, currency, amount_minor)
          values (${id}, ${accounts.available}, 'USD', -5), (${id}, ${accounts.fees}, 'USD', 5)`.execute(trx);
      }),
    ).toBe('ledger_entries_account');
  });

  test('an entry of a transfer, or of an account, that is not there', async () => {
    const entry = (transferId: string, accountId: string) =>
      refusal(async (trx) => {
        const id = transferId || newUuid();
        if (transferId === '') await transfer(trx, [], id);
        await sql`insert into ledger_entries (transfer_id, account_id, currency, amount_minor)
          values (${id}, ${accounts.available}, 'EUR', -5), (${id}, ${accountId}, 'EUR', 5)`.execute(trx);
      });
    expect(await entry(newUuid(), accounts.fees)).toBe('ledger_entries_transfer_id_fkey');
    expect(await entry('', newUuid())).toBe('ledger_entries_account');
    expect(await entry('', accounts.fees)).toBeUndefined();
  });

  test('a transfer of a top-up that is not there', async () => {
    expect(
      await refusal((trx) =>
        sql`insert into ledger_transfers (id, kind, topup_id) values (${newUuid()}, 'topup', ${newUuid()})`.execute(
          trx,
        ),
      ),
    ).toBe('ledger_transfers_topup_id_fkey');
  });

  test('the same movement of a gift twice', async () => {
    expect(
      await refusal((trx) =>
        sql`insert into ledger_transfers (id, kind, gift_id) values (${newUuid()}, 'reserve', ${giftId})`.execute(
          trx,
        ),
      ),
    ).toBe('ledger_transfers_once_per_cause');
  });

  test.each([
    ['topups', 'delete from topups'],
    ['topups', 'update topups set id = gen_random_uuid()'],
    ['topups', 'truncate topups cascade'],
    ['ledger_transfers', 'update ledger_transfers set created_at = now()'],
    ['ledger_transfers', 'delete from ledger_transfers'],
    ['ledger_entries', 'update ledger_entries set amount_minor = 1'],
    ['ledger_entries', 'truncate ledger_entries'],
    ['ledger_accounts', "delete from ledger_accounts where kind = 'fees'"],
    ['ledger_accounts', 'update ledger_accounts set id = gen_random_uuid()'],
    ['ledger_accounts', "update ledger_accounts set currency = 'USD'"],
    ['audit_records', "update audit_records set action = 'gift.claimed'"],
    ['audit_records', 'delete from audit_records'],
  ])('any rewrite of %s: %s', async (table, statement) => {
    expect(await refusal((trx) => sql.raw(statement).execute(trx))).toBe(`${table}_append_only`);
  });
});

class NotCommitted extends Error {}
