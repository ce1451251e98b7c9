import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import type { LedgerAccountKind, TransferKind, TransferSubjectKind } from '../states.ts';
import { ownAccountKinds, transferRules } from '../transfer-kinds.ts';

export type TransferInput = {
  id: string;
  kind: TransferKind;
  subject_kind: TransferSubjectKind;
  subject_id: string;
  cause_id: string | null;
  /** whose accounts it moves money of, where it does */
  funding_account_id: string | null;
  currency: string;
  amount_minor: number;
};

/** The column's default, asked once for all transfers of a statement: for each it took 14 µs of an accept's 300. */
export const postedNow = sql`(select ledger_posting_time())`;

/**
 * Two CTEs that post what the relation `moves` tells, of which each row is a {@link TransferInput}; its kind says between which accounts.
 * A transfer that there is already of the same cause refuses the statement; with `skipRepeated` it is left as it is.
 */
export function postedFrom(moves: RawBuilder<unknown>, skipRepeated = false): RawBuilder<unknown> {
  return sql`new_transfers as (
      insert into ledger_transfers (id, kind, gift_id, topup_id, subject_kind, subject_id, cause_id, posted_at)
      select id, kind, case when subject_kind = 'gift' then subject_id end,
        case when subject_kind = 'topup' then subject_id end,
        case when subject_kind not in ('gift', 'topup') then subject_kind end,
        case when subject_kind not in ('gift', 'topup') then subject_id end, cause_id, ${postedNow}
      from ${moves} move order by subject_id, kind
      ${skipRepeated ? sql`on conflict do nothing` : sql``}
      returning id
    ), new_entries as (
      insert into ledger_entries (transfer_id, account_id, currency, amount_minor)
      select move.id, coalesce(
          (select a.id from ledger_accounts a where leg.own
            and a.funding_account_id = move.funding_account_id and a.kind = leg.account_kind),
          (select a.id from ledger_accounts a where not leg.own
            and a.funding_account_id is null and a.currency = move.currency and a.kind = leg.account_kind)),
        move.currency, leg.sign * move.amount_minor
      from ${moves} move join new_transfers on new_transfers.id = move.id
      join (values ${sql.join(legs)}) as leg (kind, account_kind, own, sign) on leg.kind = move.kind
    )`;
}

const legs = Object.entries(transferRules).flatMap(([kind, { from, to }]) => [
  leg(kind, from, -1),
  leg(kind, to, 1),
]);

function leg(kind: string, account: LedgerAccountKind, sign: 1 | -1) {
  return sql`(${sql.lit(kind)}, ${sql.lit(account)}, ${sql.lit(ownAccountKinds.includes(account))}, ${sql.lit(sign)})`;
}

/** Posts transfers, each once per cause. @returns the ids of those that are new */
export async function insertTransfers(
  trx: Transaction<Database>,
  input: readonly TransferInput[],
): Promise<ReadonlySet<string>> {
  const { rows } = await sql<{ id: string }>`
    with moves as materialized (
      select * from json_to_recordset(${JSON.stringify(input)}::json) as move (
        id uuid, kind text, subject_kind text, subject_id uuid, cause_id uuid, funding_account_id uuid, currency text,
        amount_minor bigint)
    ), ${postedFrom(sql`moves`, true)}
    select id from new_transfers`.execute(trx);
  return new Set(rows.map(({ id }) => id));
}

export type AccountInput = {
  id: string;
  kind: LedgerAccountKind;
  funding_account_id: string | null;
  currency: string;
};

/** Accounts that a transfer needs come into being with the first that does. Of those that are there, none is touched. */
export async function ensureAccounts(
  trx: Transaction<Database>,
  accounts: readonly AccountInput[],
): Promise<void> {
  await sql`
    insert into ledger_accounts (id, kind, funding_account_id, currency, balance_minor)
    select id, kind, funding_account_id, currency, case when kind in ('available', 'reserved') then 0 end
    from json_to_recordset(${JSON.stringify(accounts)}::json) as account (
      id uuid, kind text, funding_account_id uuid, currency text)
    order by currency, kind, funding_account_id
    on conflict do nothing`.execute(trx);
}
