import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import { postedAt } from './ledger-findings.ts';
import { noteFindings } from './note-findings.ts';
import { nextOfRound } from './recounting.ts';

export const accountInvariants = ['balances_match_entries', 'balances_not_negative'] as const;

/**
 * What each account has moved by what was posted after `closedUntil`, which is a value and no query: of one, the planner takes a third
 * of all transfers to be open. The OFFSET is a fence: for as many, it would read all entries.
 */
export function movedSince(closedUntil: string): RawBuilder<unknown> {
  return sql`select e.account_id, sum(e.amount_minor) as total from ledger_transfers t
    cross join lateral (select account_id, amount_minor from ledger_entries where transfer_id = t.id offset 0) e
    where ${postedAt} > ${closedUntil}::timestamptz group by e.account_id`;
}

/** What breaks an invariant among the accounts that `ids` selects. What is open is read only when a balance needs it. */
function accountFindings(ids: RawBuilder<unknown>, closedUntil: string): RawBuilder<unknown> {
  return sql`
    with suspects as materialized (
      select b.id, b.balance_minor, coalesce(t.total_minor, 0) as total
      from (${ids}) asked (id) join ledger_account_balances b on b.id = asked.id
      left join ledger_account_totals t on t.account_id = b.id
      where b.balance_minor <> coalesce(t.total_minor, 0) or b.balance_minor < 0
    ), open as materialized (
      select * from (${movedSince(closedUntil)}) moved
      where exists (select from suspects)
    )
    select finding.invariant, s.id::text as subject_id, 1::bigint as broken
    from suspects s left join open on open.account_id = s.id
    cross join lateral (values
      ('balances_match_entries', s.balance_minor <> s.total + coalesce(open.total, 0)),
      ('balances_not_negative', s.balance_minor < 0)) finding (invariant, broken)
    where finding.broken`;
}

/** Looks at the balances of these accounts, in the transaction that keeps periods from being closed meanwhile. */
export async function checkAccounts(
  trx: Transaction<Database>,
  ids: readonly string[],
  closedUntil: string,
): Promise<void> {
  if (ids.length === 0) return;
  await sql`delete from ledger_findings where invariant = any (${accountInvariants})
    and subject_id = any (${ids}::text[])`.execute(trx);
  await noteFindings(trx, accountFindings(sql`select unnest(${ids}::uuid[])`, closedUntil));
}

/** Looks at the next `limit` accounts again, whether they move or not. @returns how many there were */
export async function recountAccounts(
  trx: Transaction<Database>,
  limit: number,
  restSeconds: number,
): Promise<number> {
  const next = await nextOfRound(trx, accountsRound, { limit, restSeconds });
  if (next === null) return 0;
  await checkAccounts(trx, next.ids, next.closedUntil);
  return next.ids.length;
}

const accountsRound = {
  table: 'ledger_accounts',
  cursor: 'recount_account',
  endedAt: 'accounts_recounted_at',
} as const;
