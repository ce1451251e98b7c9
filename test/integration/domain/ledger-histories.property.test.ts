import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sql, type Transaction } from 'kysely';
import { violatedConstraint } from '../../../services/database/errors.ts';
import type { Database } from '../../../services/database/schema.ts';
import type { TransferKind } from '../../../services/database/states.ts';
import { newUuid, toUuid } from '../../../services/domain/ids.ts';
import { checkLedger } from '../../../services/domain/ledger/invariants.ts';
import { postTransfers } from '../../../services/domain/ledger/post-transfers.ts';
import { accept, draftGift, type FundedSender, fund, fundedSender } from '../../support/gifts.ts';
import { openStage, type Stage } from './stage.ts';

/** Money as it must be, told by a few numbers of one sender. */
type Model = {
  sender: FundedSender;
  fundingAccountId: string;
  available: number;
  owed: number;
  topups: { id: string; amount: number; taken: number }[];
  vouchers: {
    id: string;
    giftId: string;
    amount: number;
    outstanding: number;
    held: number;
    redeemed: number;
  }[];
};

const amount = fc.integer({ min: 1, max: 1_500 });
const pick = fc.nat(5);
const spendings = ['redeem', 'rollback', 'hold', 'capture', 'void', 'lapse', 'escheat'] as const;
type Spending = (typeof spendings)[number];
type Step =
  | { kind: 'topup' | 'give' | 'repay' | 'write_off' | 'fee' | 'overdraw'; amount: number }
  | { kind: 'dispute' | 'refund'; pick: number; amount: number }
  | { kind: Spending; pick: number; amount: number }
  | { kind: 'cheat'; pick: number; how: number };
const step = fc.oneof(
  fc.record({
    kind: fc.constantFrom('topup', 'give', 'give', 'repay', 'write_off', 'fee', 'overdraw'),
    amount,
  }),
  fc.record({ kind: fc.constantFrom('dispute', 'refund'), pick, amount }),
  fc.record({ kind: fc.constantFrom(...spendings, 'redeem', 'hold'), pick, amount }),
  fc.record({ kind: fc.constant('cheat'), pick, how: fc.nat(7) }),
) as fc.Arbitrary<Step>;

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

test('P1: whatever happens to money in whatever order, what may happen does, what may not is refused, and the books agree', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 20 }), async (steps) => {
      const sender = await fundedSender(stage.db, 0);
      const { id } = await stage.db
        .selectFrom('funding_accounts')
        .select('id')
        .where('sender_id', '=', toUuid(sender.senderId))
        .executeTakeFirstOrThrow();
      const model: Model = { sender, fundingAccountId: id, available: 0, owed: 0, topups: [], vouchers: [] };
      await topUp(model, 2_000);
      for (const one of steps) await take(model, one);
      await expectBooks(model);
    }),
    { numRuns: 40 },
  );
  const invariants = await checkLedger(stage.db);
  expect(invariants.filter(({ ok }) => !ok)).toEqual([]);
}, 180_000);

async function take(model: Model, one: Step): Promise<void> {
  switch (one.kind) {
    case 'topup':
      return await topUp(model, one.amount);
    case 'give':
      return await give(model, one.amount);
    case 'fee':
    case 'overdraw':
      return await charge(model, one.kind === 'fee' ? one.amount : model.available + one.amount);
    case 'repay':
    case 'write_off':
      return await settleDebt(model, one.kind, one.amount);
    case 'dispute':
    case 'refund':
      return await takeBack(model, one.kind, model.topups[one.pick % model.topups.length], one.amount);
    case 'cheat': {
      const voucher = model.vouchers[one.pick % Math.max(1, model.vouchers.length)];
      if (voucher) expect(await attempt(cheats(model, voucher)[one.how] as Work)).toBe('refused');
      return;
    }
    default: {
      const voucher = model.vouchers[one.pick % Math.max(1, model.vouchers.length)];
      if (voucher) await spend(model, voucher, one.kind, one.amount);
    }
  }
}

type Work = (trx: Transaction<Database>) => Promise<unknown>;

async function attempt(work: Work): Promise<'done' | 'refused'> {
  const error = await stage
    .transaction<undefined>(async (trx) => {
      await work(trx);
      return undefined;
    })
    .catch((caught: unknown) => caught);
  if (error === undefined) return 'done';
  if (violatedConstraint(error) === undefined) throw error;
  return 'refused';
}

const transferOf = (model: Model, kind: TransferKind, subjectId: string, amountMinor: number) => ({
  kind,
  subjectId,
  causeId: newUuid(),
  fundingAccountId: model.fundingAccountId,
  currency: 'EUR',
  amountMinor,
});

async function topUp(model: Model, amountMinor: number): Promise<void> {
  const { id } = await fund(stage.db, model.sender.senderId, { amount: amountMinor, currency: 'EUR' });
  model.topups.push({ id: toUuid(id), amount: amountMinor, taken: 0 });
  model.available += amountMinor;
}

async function give(model: Model, amountMinor: number): Promise<void> {
  const draft = draftGift(model.sender, { value: { amount: amountMinor, currency: 'EUR' } });
  const accepted = await accept(stage.db, [draft]).catch(() => null);
  expect(accepted !== null).toBe(amountMinor <= model.available);
  const id = accepted?.gifts[0]?.id;
  if (id === undefined) return;
  await stage.sent(await stage.claimOne(id));
  const [voucher] = await stage.vouchersOf(id);
  const spent = { outstanding: amountMinor, held: 0, redeemed: 0 };
  model.vouchers.push({ id: voucher?.id ?? '', giftId: toUuid(id), amount: amountMinor, ...spent });
  model.available -= amountMinor;
}

/** Posted twice for one cause, it is charged once. */
async function charge(model: Model, amountMinor: number): Promise<void> {
  const fee = transferOf(model, 'fee', model.fundingAccountId, amountMinor);
  const outcome = await attempt(async (trx) => {
    expect(await postTransfers(trx, [fee])).toEqual([fee]);
    expect(await postTransfers(trx, [fee])).toEqual([]);
  });
  expect(outcome).toBe(amountMinor <= model.available ? 'done' : 'refused');
  if (outcome === 'done') model.available -= amountMinor;
}

async function settleDebt(model: Model, kind: 'repay' | 'write_off', amountMinor: number): Promise<void> {
  const legal = amountMinor <= model.owed && (kind === 'write_off' || amountMinor <= model.available);
  const transfer = transferOf(model, kind, model.fundingAccountId, amountMinor);
  expect(await attempt((trx) => postTransfers(trx, [transfer]))).toBe(legal ? 'done' : 'refused');
  if (!legal) return;
  model.owed -= amountMinor;
  if (kind === 'repay') model.available -= amountMinor;
}

/** A dispute takes what is there, and the rest is owed; a refund never takes more than is there. */
async function takeBack(
  model: Model,
  kind: 'dispute' | 'refund',
  topup: Model['topups'][number] | undefined,
  amountMinor: number,
): Promise<void> {
  if (!topup) return;
  const fromAvailable = kind === 'dispute' ? Math.min(amountMinor, model.available) : amountMinor;
  const transfers = [
    transferOf(model, kind, topup.id, fromAvailable),
    transferOf(model, 'owe', topup.id, amountMinor - fromAvailable),
  ].filter((transfer) => transfer.amountMinor > 0);
  const whole = topup.taken + amountMinor === topup.amount;
  const outcome = await attempt(async (trx) => {
    await postTransfers(trx, transfers);
    if (whole) await sql`update topups set state = 'reversed' where id = ${topup.id}`.execute(trx);
  });
  const legal = topup.taken + amountMinor <= topup.amount && fromAvailable <= model.available;
  expect(outcome).toBe(legal ? 'done' : 'refused');
  if (!legal) return;
  topup.taken += amountMinor;
  model.available -= fromAvailable;
  model.owed += amountMinor - fromAvailable;
}

/** How each way of spending changes what is left, what is held and what was redeemed of a voucher. */
const effects: Record<Spending, [outstanding: number, held: number, redeemed: number]> = {
  redeem: [-1, 0, 1],
  rollback: [1, 0, -1],
  hold: [-1, 1, 0],
  capture: [0, -1, 1],
  void: [1, -1, 0],
  lapse: [-1, 0, 0],
  escheat: [-1, 0, 0],
};

async function spend(
  model: Model,
  voucher: Model['vouchers'][number],
  kind: Spending,
  amountMinor: number,
): Promise<void> {
  const [outstanding, held, redeemed] = effects[kind].map((sign) => sign * amountMinor) as [
    number,
    number,
    number,
  ];
  const after = {
    outstanding: voucher.outstanding + outstanding,
    held: voucher.held + held,
    redeemed: voucher.redeemed + redeemed,
  };
  const legal = Object.values(after).every((left) => left >= 0);
  const outcome = await attempt(async (trx) => {
    const balance = after.outstanding + after.held;
    await sql`update vouchers set balance_minor = ${balance} where id = ${voucher.id}`.execute(trx);
    await postTransfers(trx, [transferOf(model, kind, voucher.id, amountMinor)]);
  });
  expect(outcome).toBe(legal ? 'done' : 'refused');
  if (!legal) return;
  Object.assign(voucher, after);
  if (kind === 'lapse') model.available += amountMinor;
}

/** Half of a change: the state without its transfer, or the transfer without its state. */
function cheats(model: Model, voucher: Model['vouchers'][number]): Work[] {
  const { giftId } = voucher;
  const gift =
    (kind: TransferKind): Work =>
    (trx) =>
      postTransfers(trx, [{ ...transferOf(model, kind, giftId, voucher.amount), causeId: null }]).then(
        (posted) => {
          // Said once already: nothing was posted, which is as good as refused.
          if (posted.length === 0) throw Object.assign(new Error('nothing to post'), { nothing: true });
        },
      );
  const state =
    (to: string): Work =>
    (trx) =>
      sql`update gifts set state = ${to} where id = ${giftId}`.execute(trx);
  return [
    state('cancelled'),
    state('expired'),
    gift('release'),
    gift('return'),
    (trx) => postTransfers(trx, [transferOf(model, 'redeem', newUuid(), 1)]),
    (trx) => postTransfers(trx, [{ ...transferOf(model, 'reserve', newUuid(), 1), causeId: null }]),
    (trx) => sql`update gifts set amount_minor = amount_minor + 1 where id = ${giftId}`.execute(trx),
    (trx) =>
      sql`update vouchers set balance_minor = case when balance_minor > 0 then balance_minor - 1 else 1 end
        where id = ${voucher.id}`.execute(trx),
  ];
}

async function expectBooks(model: Model): Promise<void> {
  const { rows } = await sql<{ kind: string; total: number }>`
    select a.kind, coalesce(sum(e.amount_minor), 0) as total
    from ledger_accounts a left join ledger_entries e on e.account_id = a.id
    where a.funding_account_id = ${model.fundingAccountId} group by a.kind`.execute(stage.db);
  const of = (kind: string) => rows.find((row) => row.kind === kind)?.total ?? 0;
  expect([of('available'), of('reserved'), of('owing')]).toEqual([model.available, 0, -model.owed + 0]);
  const zero = await sql<{ total: number }>`select sum(amount_minor) as total from ledger_entries`.execute(
    stage.db,
  );
  expect(zero.rows[0]?.total).toBe(0);
  const vouchers = await stage.db
    .selectFrom('vouchers')
    .select(['id', 'balance_minor'])
    .where('gift_id', 'in', [newUuid(), ...model.vouchers.map(({ giftId }) => giftId)])
    .execute();
  expect(new Map(vouchers.map((row) => [row.id, row.balance_minor]))).toEqual(
    new Map(model.vouchers.map(({ id, outstanding, held }) => [id, outstanding + held])),
  );
}
