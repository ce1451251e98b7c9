import { type Kysely, sql } from 'kysely';
import { refuseIllegalTransitions } from './refuse-illegal-transitions.ts';

/** Double-entry ledger. The schema itself refuses an unbalanced transfer, an overdraft and a rewrite. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createAccounts(db);
  await createTransfers(db);
  await keepBalances(db);
  await refuseUnbalancedTransfers(db);
  await refuseRewrites(db);
  await refuseIllegalTransitions(db, 'topups', topupTransitions);
}

const topupTransitions = [
  ['created', 'credited'],
  ['created', 'rejected'],
  ['credited', 'reversed'],
];

async function createAccounts(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table funding_accounts (
      id uuid primary key,
      sender_id uuid not null references senders,
      currency char(3) not null constraint funding_accounts_currency_iso check (currency ~ '^[A-Z]{3}$'),
      created_at timestamptz not null default now(),
      constraint funding_accounts_one_per_currency unique (sender_id, currency),
      constraint funding_accounts_id_currency unique (id, currency)
    )`.execute(db);

  // Only the two accounts of a funding account carry a running balance: a counter row for the system accounts
  // (world, outstanding) would make every delivery in the cluster wait for one row lock.
  // Pages are left nearly empty, so that a balance that changes hundreds of times a second finds room in its own page
  // and dead versions are pruned on the way. On full pages every look-up of the row walks past them: 16 accepts at
  // once for one sender made 944 gifts/s, and 1,965 this way; ten accounts take a page of 8 KiB.
  await sql`
    create table ledger_accounts (
      id uuid primary key,
      kind text not null constraint ledger_accounts_kind_known
        check (kind in ('world', 'available', 'reserved', 'outstanding')),
      funding_account_id uuid,
      currency char(3) not null constraint ledger_accounts_currency_iso check (currency ~ '^[A-Z]{3}$'),
      balance_minor bigint constraint ledger_accounts_balance_not_negative check (balance_minor >= 0),
      created_at timestamptz not null default now(),
      constraint ledger_accounts_owner check ((kind in ('available', 'reserved')) = (funding_account_id is not null)),
      constraint ledger_accounts_balance_kept check ((kind in ('available', 'reserved')) = (balance_minor is not null)),
      constraint ledger_accounts_id_currency unique (id, currency),
      constraint ledger_accounts_funding foreign key (funding_account_id, currency)
        references funding_accounts (id, currency)
    ) with (fillfactor = 10)`.execute(db);
  await sql`
    create unique index ledger_accounts_one_per_purpose
      on ledger_accounts (funding_account_id, kind) where funding_account_id is not null`.execute(db);
  await sql`
    create unique index ledger_accounts_one_system_account
      on ledger_accounts (currency, kind) where funding_account_id is null`.execute(db);
}

async function createTransfers(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table topups (
      id uuid primary key,
      funding_account_id uuid not null,
      currency char(3) not null,
      kind text not null constraint topups_kind_known check (kind in ('manual', 'stripe', 'onchain')),
      state text not null constraint topups_state_known check (state in ('created', 'credited', 'rejected', 'reversed')),
      amount_minor bigint not null constraint topups_amount_positive check (amount_minor > 0),
      reference text,
      created_at timestamptz not null default now(),
      constraint topups_funding foreign key (funding_account_id, currency) references funding_accounts (id, currency)
    )`.execute(db);
  await sql`create index topups_by_funding_account on topups (funding_account_id)`.execute(db);

  // gift_id has no foreign key: the accept writes gift and transfer in one statement, and the unique index
  // below is what makes "reserved once, committed once, returned once" true.
  await sql`
    create table ledger_transfers (
      id uuid primary key,
      kind text not null constraint ledger_transfers_kind_known
        check (kind in ('topup', 'reserve', 'commit', 'release', 'return')),
      gift_id uuid,
      topup_id uuid references topups,
      created_at timestamptz not null default now(),
      constraint ledger_transfers_one_subject check (num_nonnulls(gift_id, topup_id) = 1),
      constraint ledger_transfers_once_per_topup unique (topup_id, kind)
    )`.execute(db);
  await sql`
    create unique index ledger_transfers_once_per_gift on ledger_transfers (gift_id, kind)
      where gift_id is not null`.execute(db);

  await sql`
    create table ledger_entries (
      transfer_id uuid not null references ledger_transfers,
      account_id uuid not null,
      currency char(3) not null,
      amount_minor bigint not null constraint ledger_entries_amount_not_zero check (amount_minor <> 0),
      primary key (transfer_id, account_id),
      constraint ledger_entries_account foreign key (account_id, currency) references ledger_accounts (id, currency)
    )`.execute(db);
  await sql`create index ledger_entries_by_account on ledger_entries (account_id) include (amount_minor)`.execute(
    db,
  );
}

/** Rows are locked in id order before they change: two accepts that touch the same accounts can't deadlock. */
async function keepBalances(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function ledger_entries_keep_balances() returns trigger language plpgsql as $$
    begin
      perform 1 from ledger_accounts
        where id in (select account_id from new_entries) and balance_minor is not null
        order by id for no key update;
      update ledger_accounts a set balance_minor = a.balance_minor + moved.amount_minor
        from (select account_id, sum(amount_minor) as amount_minor from new_entries group by account_id) moved
        where a.id = moved.account_id and a.balance_minor is not null;
      return null;
    end $$`.execute(db);
  await sql`
    create trigger ledger_entries_keep_balances after insert on ledger_entries
      referencing new table as new_entries for each statement
      execute function ledger_entries_keep_balances()`.execute(db);
}

/** Two nets: entries must balance within the statement that writes them, and no transfer may stay without entries. */
async function refuseUnbalancedTransfers(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function ledger_entries_balance() returns trigger language plpgsql as $$
    begin
      if exists (select 1 from new_entries group by transfer_id, currency having sum(amount_minor) <> 0) then
        raise exception 'the entries of a transfer must sum to zero in each currency'
          using errcode = 'check_violation', constraint = 'ledger_transfers_balanced', table = 'ledger_entries';
      end if;
      return null;
    end $$`.execute(db);
  await sql`
    create trigger ledger_entries_balance after insert on ledger_entries
      referencing new table as new_entries for each statement
      execute function ledger_entries_balance()`.execute(db);
  await sql`
    create function ledger_transfers_have_entries() returns trigger language plpgsql as $$
    begin
      if not exists (select 1 from ledger_entries where transfer_id = new.id) then
        raise exception 'transfer % has no entries', new.id
          using errcode = 'check_violation', constraint = 'ledger_transfers_have_entries', table = 'ledger_transfers';
      end if;
      return null;
    end $$`.execute(db);
  await sql`
    create constraint trigger ledger_transfers_have_entries after insert on ledger_transfers
      deferrable initially deferred for each row
      execute function ledger_transfers_have_entries()`.execute(db);
}

async function refuseRewrites(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function refuse_rewrite() returns trigger language plpgsql as $$
    begin
      raise exception '% is append-only', tg_table_name
        using errcode = 'check_violation', constraint = tg_table_name || '_append_only', table = tg_table_name;
    end $$`.execute(db);
  for (const table of ['ledger_transfers', 'ledger_entries']) {
    await sql`
      create trigger ${sql.ref(`${table}_append_only`)} before update or delete or truncate on ${sql.table(table)}
        for each statement execute function refuse_rewrite()`.execute(db);
  }
}
