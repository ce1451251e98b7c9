import { sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import { postedBetween, sumsOf } from './close-ledger.ts';
import { giftFindings, giftInvariants, transferFindings, transferInvariants } from './ledger-findings.ts';
import { noteFindings } from './note-findings.ts';
import { nextOfRound, recounting } from './recounting.ts';

/**
 * Counts the next closed period again. One that is not what it was is noted, and the totals become what is there now, so
 * that every sum tells of it. After the last period it begins again with the first. While another process counts, nothing is
 * done: taken for the end of the round, it would begin anew for ever, and no old period would be counted again.
 *
 * @returns whether there was a period to recount
 */
export async function recountPeriod(trx: Transaction<Database>, restSeconds: number): Promise<boolean> {
  const { rows } = await sql<{ id: string | null; after: string; until: string }>`
    select p.id::text as id, p.after_at::text as after, p.until_at::text as until
    from (${recounting(sql`recount_period = 0`, sql`periods_recounted_at`, restSeconds)}) closing
    left join lateral (select * from ledger_periods where id > closing.recount_period order by id limit 1) p on true`.execute(
    trx,
  );
  const [period] = rows;
  if (!period) return false;
  if (period.id === null) {
    await sql`update ledger_closing set recount_period = 0, periods_recounted_at = clock_timestamp()`.execute(
      trx,
    );
    return false;
  }
  const which = postedBetween(period.after, period.until);
  await sql`
    with summed as materialized (${sumsOf(which)}), before as materialized (
      select * from ledger_periods where id = ${period.id}::bigint
    ), changed as (
      select summed.* from summed, before
      where (summed.transfers, summed.entries, summed.digest) is distinct from (before.transfers, before.entries, before.digest)
    ), forgotten as (
      delete from ledger_findings where invariant = 'closed_periods_unchanged' and subject_id = ${period.id}
        and not exists (select from changed)
    ), noted as (
      insert into ledger_findings (invariant, subject_id, broken)
      select 'closed_periods_unchanged', ${period.id}, 1 from changed on conflict do nothing
    ), moved as (
      select account_id, sum(total) as total from (
        select key::uuid as account_id, value::bigint as total from summed, jsonb_each_text(summed.sums)
        union all select key::uuid, -value::bigint from before, jsonb_each_text(before.sums)) both_ways
      group by account_id having sum(total) <> 0
    ), totals as (
      insert into ledger_account_totals as known (account_id, total_minor) select account_id, total from moved
      on conflict (account_id) do update set total_minor = known.total_minor + excluded.total_minor
    ), corrected as (
      update ledger_periods set sums = (select sums from summed)
      where id = ${period.id}::bigint and sums <> (select sums from summed)
    )
    update ledger_closing set recount_period = ${period.id}::bigint`.execute(trx);
  await sql`delete from ledger_findings where invariant = any (${transferInvariants})
    and subject_id in (select t.id::text from ledger_transfers t where ${which})`.execute(trx);
  await noteFindings(trx, transferFindings(which));
  return true;
}

/** Looks at the next `limit` gifts again, whatever their age. @returns how many there were */
export async function recountGifts(
  trx: Transaction<Database>,
  limit: number,
  restSeconds: number,
): Promise<number> {
  const next = await nextOfRound(trx, giftsRound, { limit, restSeconds });
  if (next === null) return 0;
  const { ids } = next;
  await sql`delete from ledger_findings where invariant = any (${giftInvariants}) and subject_id = any (${ids}::text[])`.execute(
    trx,
  );
  await noteFindings(trx, giftFindings(sql`select unnest(${ids}::uuid[])`));
  return ids.length;
}

const giftsRound = { table: 'gifts', cursor: 'recount_gift', endedAt: 'gifts_recounted_at' } as const;
