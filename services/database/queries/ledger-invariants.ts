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

/** Which transfers a gift has, as text such as `commit,reserve`. */
const movesOf = sql`(select string_agg(t.kind, ',' order by t.kind) from ledger_transfers t where t.gift_id = g.id)`;

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
    broken: sql`select count(*) from ledger_accounts a
      left join (select account_id, sum(amount_minor) as total from ledger_entries group by account_id) e
        on e.account_id = a.id
      where a.balance_minor is not null and a.balance_minor <> coalesce(e.total, 0)`,
  },
  {
    name: 'balances_not_negative',
    meaning: 'no balance of a funding account is below zero (accounts that are)',
    broken: sql`select count(*) from ledger_accounts where balance_minor < 0`,
  },
  {
    name: 'reserved_once',
    meaning: 'each gift has one reservation, of its own amount (gifts that have not)',
    broken: sql`select count(*) from gifts g where 1 <> (select count(*) from ledger_transfers t
      join ledger_entries e on e.transfer_id = t.id and e.amount_minor = g.amount_minor
      where t.gift_id = g.id and t.kind = 'reserve')`,
  },
  {
    name: 'reserved_matches_gifts',
    meaning: 'what is reserved is the sum of the gifts under way (funding accounts that differ)',
    broken: sql`select count(*) from ledger_accounts a
      left join (select funding_account_id, sum(amount_minor) as total from gifts
        where state in ('held', 'scheduled', 'queued', 'delivering') group by funding_account_id) g
        on g.funding_account_id = a.funding_account_id
      where a.kind = 'reserved' and a.balance_minor <> coalesce(g.total, 0)`,
  },
  {
    name: 'under_way_only_reserved',
    meaning: 'a gift that is under way is reserved and no more (gifts that differ)',
    broken: sql`select count(*) from gifts g
      where state in ('held', 'scheduled', 'queued', 'delivering') and ${movesOf} is distinct from 'reserve'`,
  },
  {
    name: 'delivered_committed',
    meaning: 'a gift that is delivered or claimed is committed, and not returned (gifts that differ)',
    broken: sql`select count(*) from gifts g
      where state in ('delivered', 'claimed') and ${movesOf} is distinct from 'commit,reserve'`,
  },
  {
    name: 'ended_refunded',
    meaning: 'a gift that ended otherwise has its money back, once (gifts that differ)',
    broken: sql`select count(*) from gifts g
      where (state in ('failed', 'rejected') and ${movesOf} is distinct from 'release,reserve')
        or (state in ('cancelled', 'expired')
          and coalesce(${movesOf}, '') not in ('release,reserve', 'commit,reserve,return'))`,
  },
  {
    name: 'one_voucher_per_delivered_gift',
    meaning: 'a delivered gift has one voucher, of its own amount (gifts that have not)',
    broken: sql`select count(*) from gifts g where state in ('delivered', 'claimed')
      and 1 <> (select count(*) from vouchers v where v.gift_id = g.id and v.amount_minor = g.amount_minor)`,
  },
  {
    name: 'outstanding_matches_vouchers',
    meaning: 'what is outstanding is the sum of the balances of delivered vouchers (minor units that differ)',
    broken: sql`select coalesce(sum(abs(coalesce(owed, 0) - coalesce(promised, 0))), 0) from (
        select e.currency, sum(e.amount_minor) as owed from ledger_entries e
        join ledger_accounts a on a.id = e.account_id and a.kind = 'outstanding' group by e.currency) ledger
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

/** Asks all in one statement, so that all see the same moment, whatever is being written meanwhile. */
export async function readLedgerInvariants(db: Kysely<Database>): Promise<InvariantRow[]> {
  const counts = sql.join(invariants.map(({ name, broken }) => sql`(${broken})::bigint as ${sql.ref(name)}`));
  const { rows } = await sql<Record<InvariantName, number>>`select ${counts}`.execute(db);
  return invariants.map(({ name, meaning }) => ({ name, meaning, broken: rows[0]?.[name] ?? Number.NaN }));
}
