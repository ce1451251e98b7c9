import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import { checkAccounts } from './ledger-accounts.ts';
import { giftFindings, postedAt, transferFindings } from './ledger-findings.ts';
import { noteFindings } from './note-findings.ts';

export type ClosingOptions = {
  /** transfers of one period at most, so that no step takes long */
  limit: number;
  /** between the moment that a transfer is stamped with and its transaction's first trace */
  marginSeconds: number;
  /** how long a period that is not full is left open: one of a few transfers costs the recount as much as a full one */
  shortestSeconds: number;
};

/**
 * Closes the next period: adds up what has been posted and can't change any more, and notes what breaks an invariant.
 * Transactions end in another order than they begin: a mark is set, and what is older than it is closed once every
 * transaction that ran at that moment has ended. A mark from another life of the database (it was restored) is set again.
 *
 * @returns how many transfers were closed
 */
export async function closePeriod(trx: Transaction<Database>, options: ClosingOptions): Promise<number> {
  const { rows } = await sql<{ after: string; until: string | null }>`
    with mine as materialized (
      select * from ledger_closing for update skip locked
    ), ripe as (
      select closed_until, mark_at - make_interval(secs => ${options.marginSeconds}) as until from mine
      where mark_xid <= pg_snapshot_xmin(pg_current_snapshot()) and mark_at - make_interval(secs => ${options.marginSeconds}) > closed_until
    ), last as (
      select ripe.closed_until, ripe.until, (select ${postedAt} from ledger_transfers t
        where ${postedAt} > ripe.closed_until and ${postedAt} <= ripe.until
        order by ${postedAt} offset ${options.limit - 1} limit 1) as full_at
      from ripe
    ), marked as (
      update ledger_closing set mark_at = clock_timestamp(), mark_xid = pg_snapshot_xmax(pg_current_snapshot())
      where (select count(*) from mine) = 1 and (select full_at from last) is null
        and (mark_xid is null or mark_xid <= pg_snapshot_xmin(pg_current_snapshot())
          or mark_xid > pg_snapshot_xmax(pg_current_snapshot()))
    )
    select closed_until::text as after, coalesce(full_at, case
      when closed_until <= until - make_interval(secs => ${options.shortestSeconds}) then until end)::text as until
    from last`.execute(trx);
  const [period] = rows;
  if (period?.until == null) return 0;
  return await addUp(trx, period.after, period.until);
}

async function addUp(trx: Transaction<Database>, after: string, until: string): Promise<number> {
  const which = postedBetween(after, until);
  const { rows } = await sql<{ transfers: number; accounts: string[] }>`
    with summed as materialized (${sumsOf(which)}), new_period as (
      insert into ledger_periods (after_at, until_at, transfers, entries, digest, sums)
      select ${after}::timestamptz, ${until}::timestamptz, transfers, entries, digest, sums from summed where transfers > 0
    ), totals as (
      insert into ledger_account_totals as known (account_id, total_minor)
      select key::uuid, value::bigint from summed, jsonb_each_text(sums) order by key
      on conflict (account_id) do update set total_minor = known.total_minor + excluded.total_minor
    ), closed as (
      -- Never past the last period: ledger_posting_time() looks there for what is closed.
      update ledger_closing set closed_until = ${until}::timestamptz where exists (select from summed where transfers > 0)
    )
    select transfers, array(select jsonb_object_keys(sums)) as accounts from summed`.execute(trx);
  const [{ transfers, accounts } = { transfers: 0, accounts: [] }] = rows;
  if (transfers === 0) return 0;
  await noteFindings(trx, sql`${transferFindings(which)} union all ${giftFindings(giftsOf(which))}`);
  await checkAccounts(trx, accounts, until);
  return transfers;
}

/** What a period is made of: counts, a digest that no change leaves as it is, and the sum of each account. */
export function sumsOf(which: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    with rows as (
      select t.id, t.kind, e.account_id, e.currency, e.amount_minor
      from ledger_transfers t left join ledger_entries e on e.transfer_id = t.id where ${which}
    )
    select count(distinct id)::int as transfers, count(account_id)::int as entries,
      coalesce(sum(hashtextextended(concat_ws(' ', id, kind, account_id, currency, amount_minor), 0)::numeric), 0) as digest,
      coalesce((select jsonb_object_agg(account_id, total) from (
        select account_id, sum(amount_minor) as total from rows where account_id is not null group by account_id) of_account),
        '{}') as sums
    from rows`;
}

export function postedBetween(after: string, until: string): RawBuilder<unknown> {
  return sql`${postedAt} > ${after}::timestamptz and ${postedAt} <= ${until}::timestamptz`;
}

export function giftsOf(which: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`select t.gift_id from ledger_transfers t where ${which} and t.gift_id is not null
    union select v.gift_id from ledger_transfers t join vouchers v on v.id = t.subject_id
    where ${which} and t.subject_kind = 'voucher'`;
}
