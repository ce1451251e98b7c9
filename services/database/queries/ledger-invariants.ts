import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import { giftsOf } from './close-ledger.ts';
import {
  giftFindings,
  type giftInvariants,
  postedAt,
  transferFindings,
  type transferInvariants,
} from './ledger-findings.ts';

export type InvariantName =
  | 'sum_is_zero'
  | 'balances_match_entries'
  | 'balances_not_negative'
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

/** `periodsRecountedAt`, `giftsRecountedAt`: when the recount last came to the end; null when it has not yet. */
export type LedgerReading = {
  rows: InvariantRow[];
  closedUntil: Date | null;
  periodsRecountedAt: Date | null;
  giftsRecountedAt: Date | null;
};

type Closing = {
  closed_until: string;
  closed_at: Date | null;
  periods_at: Date | null;
  gifts_at: Date | null;
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
        periods_recounted_at as periods_at, gifts_recounted_at as gifts_at from ledger_closing`.execute(tx);
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
      where not exists (select from open_gifts where gift_id::text = f.subject_id)
        and not exists (select from now where now.invariant = f.invariant and now.subject_id = f.subject_id)) found
    group by invariant`.execute(tx);
  return rows.map(({ invariant, broken }) => [invariant, broken]);
}

/** The least UUIDv7 of a quarter of an hour before: its first 48 bits are milliseconds since 1970. */
function firstIdSince(time: string): RawBuilder<unknown> {
  return sql`(lpad(to_hex((extract(epoch from greatest(${time}::timestamptz, '1970-01-02') - interval '15 minutes')
    * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid`;
}

async function sums(
  tx: Transaction<Database>,
  { closed_until: closedUntil }: Closing,
): Promise<[InvariantName, number][]> {
  const { rows } = await sql<{
    sum_is_zero: number;
    balances_match_entries: number;
    balances_not_negative: number;
  }>`
    with totals as materialized (
      select account_id, sum(total) as total from (
        select account_id, total_minor as total from ledger_account_totals
        union all
        select e.account_id, e.amount_minor from ledger_transfers t join ledger_entries e on e.transfer_id = t.id
        where ${postedAt} > ${closedUntil}::timestamptz) parts
      group by account_id
    ), balances as (
      select b.balance_minor, coalesce(t.total, 0) as total
      from ledger_account_balances b left join totals t on t.account_id = b.id
    )
    select (select coalesce(sum(abs(total)), 0) from (select sum(t.total) as total from totals t
        join ledger_accounts a on a.id = t.account_id group by a.currency) per_currency)::bigint as sum_is_zero,
      count(*) filter (where balance_minor <> total) as balances_match_entries,
      count(*) filter (where balance_minor < 0) as balances_not_negative
    from balances`.execute(tx);
  return Object.entries(rows[0] ?? {}) as [InvariantName, number][];
}
