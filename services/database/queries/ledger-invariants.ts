import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import { giftsOf } from './close-ledger.ts';
import { accountInvariants, movedSince } from './ledger-accounts.ts';
import {
  giftFindings,
  type giftInvariants,
  postedAt,
  transferFindings,
  type transferInvariants,
} from './ledger-findings.ts';

export type InvariantName =
  | 'sum_is_zero'
  | (typeof accountInvariants)[number]
  | 'closed_periods_unchanged'
  | (typeof transferInvariants)[number]
  | (typeof giftInvariants)[number];

/** What each says, and what a number other than zero counts. */
const meanings: Readonly<Record<InvariantName, string>> = {
  sum_is_zero: 'the entries of all accounts of a currency sum to zero (minor units that do not)',
  transfers_balanced: 'the entries of each transfer sum to zero (transfers that do not)',
  transfers_not_empty: 'each transfer has entries (transfers without)',
  balances_match_entries: 'each running balance is the sum of its entries (accounts that differ)',
  balances_not_negative: 'no balance of a funding account is below zero (accounts that are)',
  closed_periods_unchanged: 'what was closed is what is there now (periods that differ)',
  reserved_once: 'each gift has one reservation, of its own amount (gifts that have not)',
  reserved_matches_gifts: 'what is reserved is what the gifts under way need (gifts that differ)',
  under_way_only_reserved: 'a gift that is under way is reserved and no more (gifts that differ)',
  delivered_committed:
    'a gift that is delivered or claimed is committed, and not returned (gifts that differ)',
  ended_refunded: 'a gift that ended otherwise has its money back, once (gifts that differ)',
  one_voucher_per_delivered_gift: 'a delivered gift has one voucher, of its own amount (gifts that have not)',
  outstanding_matches_vouchers:
    'what is outstanding or held is the balances of delivered vouchers (minor units that differ)',
  one_claim_per_claimed_gift: 'a claimed gift has a claim, and no other gift has one (gifts that differ)',
};

export type InvariantRow = { name: InvariantName; meaning: string; broken: number };

/** `…RecountedAt`: when the recount last came to the end; null when it has not yet. */
export type LedgerReading = {
  rows: InvariantRow[];
  closedUntil: Date | null;
  periodsRecountedAt: Date | null;
  giftsRecountedAt: Date | null;
  accountsRecountedAt: Date | null;
};

type Closing = {
  closed_until: string;
  closed_at: Date | null;
  periods_at: Date | null;
  gifts_at: Date | null;
  accounts_at: Date | null;
};

/**
 * What breaks the ledger's invariants: of closed periods what was found when they were closed or recounted, of what was
 * posted since then what is there now, all of one moment. It takes as long as the open period is: a minute or two of
 * traffic, however much there was before. `db` must not be in a transaction yet.
 */
export async function readLedgerInvariants(db: Kysely<Database>): Promise<LedgerReading> {
  const snapshot = db.transaction().setIsolationLevel('repeatable read').setAccessMode('read only');
  return await snapshot.execute(async (tx) => {
    const { rows } = await sql<Closing>`
      select closed_until::text, case when isfinite(closed_until) then closed_until end as closed_at,
        periods_recounted_at as periods_at, gifts_recounted_at as gifts_at, accounts_recounted_at as accounts_at
      from ledger_closing`.execute(tx);
    const [closing] = rows;
    if (!closing) throw new Error('the ledger has lost the row that tells what is closed');
    const found = new Map([...(await findings(tx, closing)), ...(await sums(tx, closing))]);
    return {
      rows: (Object.keys(meanings) as InvariantName[]).map((name) => ({
        name,
        meaning: meanings[name],
        broken: found.get(name) ?? 0,
      })),
      closedUntil: closing.closed_at,
      periodsRecountedAt: closing.periods_at,
      giftsRecountedAt: closing.gifts_at,
      accountsRecountedAt: closing.accounts_at,
    };
  });
}

/** Gifts that changed since, by their transfers and by the time in their ids and in those of claims; clocks may differ. */
async function findings(
  tx: Transaction<Database>,
  { closed_until: closedUntil }: Closing,
): Promise<[InvariantName, number][]> {
  const open = sql`${postedAt} > ${closedUntil}::timestamptz`;
  const { rows } = await sql<{ invariant: InvariantName; broken: number }>`
    with open_gifts as materialized (
      ${giftsOf(open)}
      union select id from gifts where id >= ${firstIdSince(closedUntil)}
      union select gift_id from claims where id >= ${firstIdSince(closedUntil)}
    ), now as (
      ${transferFindings(open)} union all ${giftFindings(sql`select gift_id from open_gifts`)}
    )
    select invariant, sum(broken)::bigint as broken from (
      select invariant, broken from now
      union all
      select invariant, broken from ledger_findings f
      where invariant <> all (${accountInvariants}) and not exists (select from open_gifts where gift_id::text = f.subject_id)
        and not exists (select from now where now.invariant = f.invariant and now.subject_id = f.subject_id)) found
    group by invariant`.execute(tx);
  return rows.map(({ invariant, broken }) => [invariant, broken]);
}

/** The least UUIDv7 of a quarter of an hour before: its first 48 bits are milliseconds since 1970. */
function firstIdSince(time: string): RawBuilder<unknown> {
  return sql`(lpad(to_hex((extract(epoch from greatest(${time}::timestamptz, '1970-01-02') - interval '15 minutes')
    * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid`;
}

/**
 * Of accounts that have moved since, or should have by the gifts that were accepted, what their balances are now; of the others,
 * what was found when they were last looked at.
 */
async function sums(
  tx: Transaction<Database>,
  { closed_until: closedUntil }: Closing,
): Promise<[InvariantName, number][]> {
  const { rows } = await sql<{
    sum_is_zero: number;
    balances_match_entries: number;
    balances_not_negative: number;
  }>`
    with open as materialized (
      select account_id, sum(total) as total from (
        ${movedSince(closedUntil)}
        union all
        select a.id, 0 from (select distinct funding_account_id as id from gifts
          where id >= ${firstIdSince(closedUntil)}) given
        cross join lateral (select id from ledger_accounts where funding_account_id = given.id offset 0) a) parts
      group by account_id
    ), moved as (
      select b.id::text as id, b.balance_minor, coalesce(t.total_minor, 0) + open.total as total
      from open join ledger_account_balances b on b.id = open.account_id
      left join ledger_account_totals t on t.account_id = open.account_id
    ), found as (
      select invariant, subject_id from ledger_findings where invariant = any (${accountInvariants})
        and not exists (select from open where account_id::text = subject_id)
      union all select 'balances_match_entries', id from moved where balance_minor <> total
      union all select 'balances_not_negative', id from moved where balance_minor < 0
    ), per_currency as (
      select sum(total) as total from (
        select currency, total_minor as total from ledger_currency_totals
        union all select a.currency, open.total from open join ledger_accounts a on a.id = open.account_id) parts
      group by currency
    )
    select (select coalesce(sum(abs(total)), 0) from per_currency)::bigint as sum_is_zero,
      count(*) filter (where invariant = 'balances_match_entries') as balances_match_entries,
      count(*) filter (where invariant = 'balances_not_negative') as balances_not_negative
    from found`.execute(tx);
  return Object.entries(rows[0] ?? {}) as [InvariantName, number][];
}
