import { type Kysely, sql } from 'kysely';

/**
 * Balances are appended instead of updated. A balance that changes hundreds of times a second leaves a dead version each
 * time, and while a snapshot is open elsewhere (a dump) none may go: every look-up of the row walked past all of them,
 * and one sender's accepts fell to a half within minutes. A row per change has a key of its own, so the newest is found
 * by the end of the index, and the one before is deleted by its exact key: nothing that is dead is ever walked past.
 *
 * Which accounts keep a balance is what it was: those whose `ledger_accounts.balance_minor` is not null. That column
 * stays for the release before this one, which reads it: it is folded up with a movement when it was last folded more than
 * ten seconds ago, so it is behind only for an account that moves more often. `ledger_fold_balances()` folds all.
 * Read balances through the view `ledger_account_balances`.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  // Whoever writes entries now must be done before the balances are copied, and write the new way after it.
  await sql`lock table ledger_entries, ledger_accounts in share row exclusive mode`.execute(db);
  await createBalances(db);
  await createReaders(db);
  await createLock(db);
  await keepBalances(db);
  await createFold(db);
}

/**
 * No foreign key: only the trigger on entries writes here, and their own key has looked the account up. The constraint has
 * the name that an overdraft has always been refused with. Nearly all rows are dead soon: vacuum comes early.
 */
async function createBalances(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table ledger_balances (
      account_id uuid not null,
      seq bigint not null constraint ledger_balances_seq_positive check (seq > 0),
      balance_minor bigint not null constraint ledger_accounts_balance_not_negative check (balance_minor >= 0),
      folded_at timestamptz not null,
      primary key (account_id, seq)
    ) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)`.execute(db);
  await sql`
    insert into ledger_balances (account_id, seq, balance_minor, folded_at)
    select id, 1, balance_minor, clock_timestamp() from ledger_accounts where balance_minor is not null`.execute(
    db,
  );
  await sql`
    create trigger ledger_balances_append_only before update or truncate on ledger_balances
      for each statement execute function refuse_rewrite()`.execute(db);
}

async function createReaders(db: Kysely<unknown>): Promise<void> {
  await sql`
    create view ledger_account_balances as
    select a.id, a.kind, a.funding_account_id, a.currency, coalesce(newest.balance_minor, 0) as balance_minor
    from ledger_accounts a
    left join lateral (
      select b.balance_minor from ledger_balances b where b.account_id = a.id order by b.seq desc limit 1
    ) newest on true
    where a.balance_minor is not null`.execute(db);
}

/** One lock for the accounts of one funding account: whoever moves money between them needs both. */
async function createLock(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function ledger_lock_key(funding_account_id uuid) returns bigint language sql immutable parallel safe
      return hashtextextended(funding_account_id::text, 20)`.execute(db);
}

/**
 * Locks are taken in the order of their keys: two statements that touch the same accounts can't deadlock. Each statement
 * in here sees what is committed by then, so the balance that is read is what the holder before left. Sequential scans
 * are off, because a plan that was made while the table was tiny would walk past everything dead later. A row that
 * somebody else has locked is left as it is: an old balance that stays harms nobody, and no movement waits for it.
 */
async function keepBalances(db: Kysely<unknown>): Promise<void> {
  await sql`
    create or replace function ledger_entries_keep_balances() returns trigger language plpgsql
    set enable_seqscan = off as $$
    begin
      perform pg_advisory_xact_lock(key) from (
        select distinct ledger_lock_key(coalesce(a.funding_account_id, a.id)) as key
        from new_entries e join ledger_accounts a on a.id = e.account_id
        where a.balance_minor is not null order by key) locks;
      with moved as (
        select e.account_id, sum(e.amount_minor) as amount_minor
        from new_entries e join ledger_accounts a on a.id = e.account_id
        where a.balance_minor is not null group by e.account_id
      ), appended as materialized (
        select moved.account_id, coalesce(newest.seq, 0) as last_seq,
          coalesce(newest.balance_minor, 0) + moved.amount_minor as balance_minor, newest.folded_at,
          coalesce(newest.folded_at < clock_timestamp() - interval '10 seconds', true) as folding
        from moved left join lateral (
          select * from ledger_balances b where b.account_id = moved.account_id order by b.seq desc limit 1
        ) newest on true
      ), foldable as materialized (
        select a.id, appended.balance_minor from appended join ledger_accounts a on a.id = appended.account_id
        where appended.folding and appended.balance_minor >= 0
        for no key update of a skip locked
      ), folded as (
        update ledger_accounts a set balance_minor = foldable.balance_minor
        from foldable where a.id = foldable.id
      ), last as materialized (
        select b.account_id, b.seq from appended
        join ledger_balances b on b.account_id = appended.account_id and b.seq = appended.last_seq
        for update of b skip locked
      ), gone as (
        delete from ledger_balances b using last where b.account_id = last.account_id and b.seq = last.seq
      )
      insert into ledger_balances (account_id, seq, balance_minor, folded_at)
      select account_id, last_seq + 1, balance_minor,
        case when account_id in (select id from foldable) then clock_timestamp()
          else coalesce(folded_at, '-infinity') end
      from appended;
      return null;
    end $$`.execute(db);
}

/** For whoever goes back to the release before: its column says what the balances say, in one step. */
async function createFold(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function ledger_fold_balances() returns bigint language sql as $$
      with folded as (
        update ledger_accounts a set balance_minor = b.balance_minor
        from ledger_account_balances b where b.id = a.id and a.balance_minor <> b.balance_minor
        returning 1
      ) select count(*) from folded $$`.execute(db);
}
