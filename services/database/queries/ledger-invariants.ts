import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Database } from '../schema.ts';

/** Counts what breaks one invariant: 0 while it holds. */
export type InvariantQuery = { name: InvariantName; meaning: string; broken: RawBuilder<unknown> };

export type InvariantName =
  | 'sum_is_zero'
  | 'transfers_balanced'
  | 'transfers_not_empty'
  | 'balances_match_entries'
  | 'balances_not_negative'
  | 'reserved_once'
  | 'reserved_matches_gifts'
  | 'under_way_only_reserved'
  | 'delivered_committed'
  | 'ended_refunded'
  | 'one_voucher_per_delivered_gift'
  | 'outstanding_matches_vouchers'
  | 'one_claim_per_claimed_gift';

/** Each gift beside how often its money moved which way: grouped in one pass, as a look-up per gift grows with both tables. */
const giftsWithMoves = sql`gifts g left join (
  select gift_id,
    count(*) filter (where kind = 'reserve') as reserves,
    count(*) filter (where kind = 'commit') as commits,
    count(*) filter (where kind = 'release') as releases,
    count(*) filter (where kind = 'return') as returns
  from ledger_transfers where gift_id is not null group by gift_id) m on m.gift_id = g.id`;

/** Whether a gift's money moved otherwise; so it did when it never moved, and the counts are null. */
const movedOtherThan = (moves: RawBuilder<unknown>) =>
  sql`(m.reserves, m.commits, m.releases, m.returns) is distinct from (${moves})`;

const notJustReserved = movedOtherThan(sql`1, 0, 0, 0`);
const notCommitted = movedOtherThan(sql`1, 1, 0, 0`);
const notReleased = movedOtherThan(sql`1, 0, 1, 0`);
const notReturned = movedOtherThan(sql`1, 1, 0, 1`);

const invariants: readonly InvariantQuery[] = [
  {
    name: 'sum_is_zero',
    meaning: 'the entries of all accounts of a currency sum to zero (minor units that do not)',
    broken: sql`select coalesce(sum(abs(total)), 0) from (
      select sum(amount_minor) as total from ledger_entries group by currency) per_currency`,
  },
  {
    name: 'transfers_balanced',
    meaning: 'the entries of each transfer sum to zero (transfers that do not)',
    broken: sql`select count(*) from (select 1 from ledger_entries group by transfer_id, currency
      having sum(amount_minor) <> 0) unbalanced`,
  },
  {
    name: 'transfers_not_empty',
    meaning: 'each transfer has entries (transfers without)',
    broken: sql`select count(*) from ledger_transfers t
      where not exists (select from ledger_entries e where e.transfer_id = t.id)`,
  },
  {
    name: 'balances_match_entries',
    meaning: 'each running balance is the sum of its entries (accounts that differ)',
    broken: sql`select count(*) from ledger_account_balances a
      left join (select account_id, sum(amount_minor) as total from ledger_entries group by account_id) e
        on e.account_id = a.id
      where a.balance_minor <> coalesce(e.total, 0)`,
  },
  {
    name: 'balances_not_negative',
    meaning: 'no balance of a funding account is below zero (accounts that are)',
    broken: sql`select count(*) from ledger_account_balances where balance_minor < 0`,
  },
  {
    name: 'reserved_once',
    meaning: 'each gift has one reservation, of its own amount (gifts that have not)',
    broken: sql`select count(*) from (select 1 from gifts g
      left join ledger_transfers t on t.gift_id = g.id and t.kind = 'reserve'
      left join ledger_entries e on e.transfer_id = t.id and e.amount_minor = g.amount_minor
      group by g.id having count(e.transfer_id) <> 1) differing`,
  },
  {
    name: 'reserved_matches_gifts',
    meaning: 'what is reserved is the sum of the gifts under way (funding accounts that differ)',
    broken: sql`select count(*) from ledger_account_balances a
      left join (select funding_account_id, sum(amount_minor) as total from gifts
        where state in ('held', 'scheduled', 'queued', 'delivering') group by funding_account_id) g
        on g.funding_account_id = a.funding_account_id
      where a.kind = 'reserved' and a.balance_minor <> coalesce(g.total, 0)`,
  },
  {
    name: 'under_way_only_reserved',
    meaning: 'a gift that is under way is reserved and no more (gifts that differ)',
    broken: sql`select count(*) from ${giftsWithMoves}
      where g.state in ('held', 'scheduled', 'queued', 'delivering') and ${notJustReserved}`,
  },
  {
    name: 'delivered_committed',
    meaning: 'a gift that is delivered or claimed is committed, and not returned (gifts that differ)',
    broken: sql`select count(*) from ${giftsWithMoves}
      where g.state in ('delivered', 'claimed') and ${notCommitted}`,
  },
  {
    name: 'ended_refunded',
    meaning: 'a gift that ended otherwise has its money back, once (gifts that differ)',
    broken: sql`select count(*) from ${giftsWithMoves}
      where (g.state in ('failed', 'rejected') and ${notReleased})
        or (g.state in ('cancelled', 'expired') and ${notReleased} and ${notReturned})`,
  },
  {
    name: 'one_voucher_per_delivered_gift',
    meaning: 'a delivered gift has one voucher, of its own amount (gifts that have not)',
    broken: sql`select count(*) from (select 1 from gifts g
      left join vouchers v on v.gift_id = g.id and v.amount_minor = g.amount_minor
      where g.state in ('delivered', 'claimed') group by g.id having count(v.id) <> 1) differing`,
  },
  {
    name: 'outstanding_matches_vouchers',
    meaning:
      'what is outstanding or held is the sum of the balances of delivered vouchers (minor units that differ)',
    broken: sql`select coalesce(sum(abs(coalesce(owed, 0) - coalesce(promised, 0))), 0) from (
        select e.currency, sum(e.amount_minor) as owed from ledger_entries e
        join ledger_accounts a on a.id = e.account_id and a.kind in ('outstanding', 'held') group by e.currency) ledger
      full join (
        select v.currency, sum(v.balance_minor) as promised from vouchers v
        join gifts g on g.id = v.gift_id and g.state in ('delivered', 'claimed') group by v.currency) vouchers
      using (currency)`,
  },
  {
    name: 'one_claim_per_claimed_gift',
    meaning: 'a claimed gift has a claim, and no other gift has one (gifts that differ)',
    broken: sql`select count(*) from gifts g full join claims c on c.gift_id = g.id
      where (g.state = 'claimed') is distinct from (c.id is not null)`,
  },
];

export type InvariantRow = { name: InvariantName; meaning: string; broken: number };

/**
 * Asks one after the other, each with the whole time limit of a statement, and all of one snapshot, so that all see the
 * same moment, whatever is being written meanwhile. `db` must not be in a transaction yet.
 */
export async function readLedgerInvariants(db: Kysely<Database>): Promise<InvariantRow[]> {
  const snapshot = db.transaction().setIsolationLevel('repeatable read').setAccessMode('read only');
  return await snapshot.execute(async (tx) => {
    const rows: InvariantRow[] = [];
    for (const { name, meaning, broken } of invariants) {
      const { rows: found } = await sql<{ broken: number }>`select (${broken})::bigint as broken`.execute(tx);
      rows.push({ name, meaning, broken: found[0]?.broken ?? Number.NaN });
    }
    return rows;
  });
}
