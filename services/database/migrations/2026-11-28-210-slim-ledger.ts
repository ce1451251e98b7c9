import { type Kysely, sql } from 'kysely';

/**
 * What the ledger keeps true at each statement, for less. One trigger on entries reads each entry, its account, its transfer
 * and whose money it is once, where two triggers and two foreign keys read them up to four times and locked each transfer
 * twice; a balance that is gone is deleted with fifteen others. What is refused, and under which name, is what it was.
 *
 * The foreign keys of entries go, not what they say: transfers can't be deleted or rewritten, from now on accounts neither, so
 * that an entry whose transfer and account are there when it is written has them for ever. They were an eighth of an accept.
 *
 * A transfer about a gift asks nothing of top-ups and vouchers any more. A table that a statement names is locked for it, whether it is
 * read or not, and a foreign key asks for its table even for a null: who held one of the two for itself stopped all accepts.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createOwner(db);
  await sql`
    create trigger ledger_accounts_append_only before delete or truncate or update of id, currency on ledger_accounts
      for each statement execute function refuse_rewrite()`.execute(db);
  await sql`
    create function ledger_entries_post() returns trigger language plpgsql
    set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
    declare moved record; newest record; misfit record; folded uuid[] := '{}';
    begin
      ${readEntries}
      if not moved.sound then
        ${refuseUnsound}
      end if;
      if moved.accounts is null then return null; end if;
      ${appendBalances}
      return null;
    end $$`.execute(db);
  await sql`drop trigger ledger_entries_balance on ledger_entries`.execute(db);
  await sql`drop trigger ledger_entries_keep_balances on ledger_entries`.execute(db);
  await sql`
    create trigger ledger_entries_post after insert on ledger_entries
      referencing new table as new_entries for each statement execute function ledger_entries_post()`.execute(
    db,
  );
  await sql`drop function ledger_entries_balance()`.execute(db);
  await sql`drop function ledger_entries_keep_balances()`.execute(db);
  await sql`
    alter table ledger_entries
      drop constraint ledger_entries_account, drop constraint ledger_entries_transfer_id_fkey`.execute(db);
  await askForTopups(db);
}

export const holds = ['ledger_accounts', 'ledger_entries', 'ledger_transfers', 'topups'];

/** In a function whose branches are planned as they are come to: what is not asked is not locked. */
async function createOwner(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function ledger_subject_owner(topup uuid, subject_kind text, subject uuid) returns uuid
    language plpgsql stable as $$
    begin
      if topup is not null then
        return (select p.funding_account_id from topups p where p.id = topup);
      elsif subject_kind = 'funding_account' then
        return (select f.id from funding_accounts f where f.id = subject);
      else
        return (select g.funding_account_id from vouchers v join gifts g on g.id = v.gift_id where v.id = subject);
      end if;
    end $$`.execute(db);
}

/** What the foreign key said, of transfers that are about a top-up: it is there when they are written, and stays. */
async function askForTopups(db: Kysely<unknown>): Promise<void> {
  await sql`alter table ledger_transfers drop constraint ledger_transfers_topup_id_fkey`.execute(db);
  await sql`
    create function ledger_transfers_topup_exists() returns trigger language plpgsql as $$
    begin
      perform from topups where id = new.topup_id for key share;
      if not found then
        raise exception 'transfer % is of a top-up that is not there', new.id using errcode = 'foreign_key_violation',
          table = 'ledger_transfers', constraint = 'ledger_transfers_topup_id_fkey';
      end if;
      return null;
    end $$`.execute(db);
  await sql`
    create trigger ledger_transfers_topup_exists after insert on ledger_transfers
      for each row when (new.topup_id is not null) execute function ledger_transfers_topup_exists()`.execute(
    db,
  );
  await sql`
    create trigger topups_append_only before delete or truncate or update of id on topups
      for each statement execute function refuse_rewrite()`.execute(db);
}

// The kinds as they were when this migration was written: it imports nothing that may change later.
const transferKinds = [
  ['topup', 'world', 'available'],
  ['refund', 'available', 'world'],
  ['dispute', 'available', 'world'],
  ['owe', 'owing', 'world'],
  ['repay', 'available', 'owing'],
  ['write_off', 'written_off', 'owing'],
  ['fee', 'available', 'fees'],
  ['reserve', 'available', 'reserved'],
  ['commit', 'reserved', 'outstanding'],
  ['release', 'reserved', 'available'],
  ['return', 'outstanding', 'available'],
  ['redeem', 'outstanding', 'redeemed'],
  ['rollback', 'redeemed', 'outstanding'],
  ['hold', 'outstanding', 'held'],
  ['capture', 'held', 'redeemed'],
  ['void', 'held', 'outstanding'],
  ['lapse', 'outstanding', 'available'],
  ['escheat', 'outstanding', 'escheated'],
  ['reissue_out', 'outstanding', 'reissuing'],
  ['reissue_in', 'reissuing', 'outstanding'],
] as const;

const list = (values: readonly string[]) => sql.lit(`{${values.join(',')}}`);
const moves = list(transferKinds.map(([kind, from, to]) => `${kind}:${from}>${to}`));
const legs = list(transferKinds.flatMap(([kind, from, to]) => [`${kind}<${from}`, `${kind}>${to}`]));

/** Whose funding account the subject of the transfer `t` belongs to. */
const owner = sql`
          when t.gift_id is not null then (select g.funding_account_id from gifts g where g.id = t.gift_id)
          else ledger_subject_owner(t.topup_id, t.subject_kind, t.subject_id)
        end`;

/**
 * Sound is a transfer of one entry from and one to the account of its kind, of one owner and to a sum of zero, by which
 * nobody owes less: as nearly all are. Each OFFSET is a fence: without it, a plan that was made while tables are
 * tiny, and kept, reads the whole index.
 */
const readEntries = sql`
      with entries as materialized (
        select e.transfer_id, e.currency, e.amount_minor, e.account_id, a.kind, a.funding_account_id, a.kept
        from new_entries e left join lateral (
          select kind, funding_account_id, balance_minor is not null as kept from ledger_accounts
          where id = e.account_id and currency = e.currency offset 0) a on true
      ), changes as (
        select account_id, sum(amount_minor)::bigint as amount_minor,
          ledger_lock_key(coalesce(funding_account_id, account_id)) as lock_key
        from entries where kept group by account_id, funding_account_id
      ), transfers as (
        select transfer_id, sum(amount_minor) as total, count(*) as entries, bool_or(kind = 'owing') as owing,
          min(kind) filter (where amount_minor < 0) as source, min(kind) filter (where amount_minor > 0) as destination,
          array_agg(funding_account_id) as owners
        from entries group by transfer_id, currency
      ), checks as (
        select (entries = 2 and total = 0 and not owing
          and t.kind || ':' || source || '>' || destination = any (${moves}::text[])
          and (owners[1] = owner.id) is not false and (owners[2] = owner.id) is not false) is true as sound
        from transfers left join lateral (select * from ledger_transfers where id = transfer_id offset 0) t on true
        cross join lateral (select case when owners[1] is null and owners[2] is null then null ${owner} as id offset 0) owner
      )
      select coalesce((select bool_and(sound) from checks), true) as sound,
        array_agg(account_id) as accounts, array_agg(amount_minor) as amounts, array_agg(lock_key) as lock_keys
      into moved from (select * from changes order by lock_key) in_order;`;

/**
 * What is wrong with them, in the order in which it has always been told. The rows of owing accounts are locked first, so
 * that two who repay at once see each other.
 */
const refuseUnsound = sql`
        select coalesce(bool_or(t.id is null), false) as no_transfer, coalesce(bool_or(a.id is null), false) as no_account
        into misfit from new_entries e
        left join lateral (select id from ledger_transfers where id = e.transfer_id offset 0) t on true
        left join lateral (
          select id from ledger_accounts where id = e.account_id and currency = e.currency offset 0) a on true;
        if misfit.no_transfer or misfit.no_account then
          raise exception 'an entry is of a transfer that is not there, or of an account that is not, or not in that currency'
            using errcode = 'foreign_key_violation', table = 'ledger_entries', constraint = case
              when misfit.no_transfer then 'ledger_entries_transfer_id_fkey' else 'ledger_entries_account' end;
        end if;
        select bool_or(total <> 0) as unbalanced, min(transfer.leg) as leg, bool_or(transfer.owing) as owing,
          min(transfer.stray) as stray
        into misfit from (
          select sum(e.amount_minor) as total, bool_or(a.kind = 'owing') as owing,
            min(leg.name) filter (where not leg.name = any (${legs}::text[])) as leg,
            min(leg.name) filter (where a.funding_account_id <> owner.id) as stray
          from new_entries e
          cross join lateral (select * from ledger_transfers where id = e.transfer_id offset 0) t
          cross join lateral (select * from ledger_accounts where id = e.account_id offset 0) a
          cross join lateral (select t.kind || case when e.amount_minor < 0 then '<' else '>' end || a.kind as name) leg
          cross join lateral (select case when a.funding_account_id is null then null ${owner} as id offset 0) owner
          group by e.transfer_id, e.currency) transfer;
        if misfit.unbalanced then
          raise exception 'the entries of a transfer must sum to zero in each currency'
            using errcode = 'check_violation', constraint = 'ledger_transfers_balanced', table = 'ledger_entries';
        end if;
        if misfit.leg is not null then
          raise exception 'a transfer has no such entry: %', misfit.leg
            using errcode = 'check_violation', constraint = 'ledger_entries_fit_transfer', table = 'ledger_entries';
        end if;
        if misfit.stray is not null then
          raise exception 'a transfer moves money of another funding account than that of its subject: %', misfit.stray
            using errcode = 'check_violation', constraint = 'ledger_entries_fit_subject', table = 'ledger_entries';
        end if;
        if misfit.owing then
          perform 1 from ledger_accounts where kind = 'owing' and id in (select account_id from new_entries)
            order by id for no key update;
          if exists (select 1 from ledger_accounts a where kind = 'owing' and id in (select account_id from new_entries)
            and (select sum(amount_minor) from ledger_entries e where e.account_id = a.id) > 0) then
            raise exception 'more is repaid than is owed' using errcode = 'check_violation',
              constraint = 'ledger_accounts_owing_not_positive', table = 'ledger_accounts';
          end if;
        end if;`;

/**
 * Locks are taken in the order of their keys; each statement after them sees what the holders before committed. One with an
 * older snapshot does not: a balance that it sees and that is gone is told by the server, when it asks for the row. Folding is
 * for the release before, which reads a column. Rows that somebody else holds are passed by: an old balance that stays
 * harms nobody, and no movement waits for it. Stale balances go in sixteens, by their exact keys: what is dead is not walked past.
 */
const appendBalances = sql`
      for place in 1 .. array_length(moved.lock_keys, 1) loop
        if not pg_try_advisory_xact_lock(moved.lock_keys[place]) then
          perform pg_advisory_xact_lock(moved.lock_keys[place]);
        end if;
      end loop;
      select array_agg(coalesce(b.seq, 0)) as seqs, array_agg(coalesce(b.balance_minor, 0) + m.amount_minor) as balances,
        array_agg(coalesce(b.folded_at, '-infinity')) as folds,
        array_agg(m.account_id) filter (
          where coalesce(b.folded_at, '-infinity') < clock_timestamp() - interval '10 seconds') as folding,
        bool_or(b.seq % 16 = 0) as tidying
      into newest from unnest(moved.accounts, moved.amounts) as m (account_id, amount_minor)
      left join lateral (
        select * from ledger_balances b where b.account_id = m.account_id order by b.seq desc limit 1) b on true;
      if current_setting('transaction_isolation') <> 'read committed' then
        perform from unnest(moved.accounts, newest.seqs) as m (account_id, seq) cross join lateral (
          select from ledger_balances b where b.account_id = m.account_id and b.seq = m.seq for update) held;
      end if;
      if newest.folding is not null then
        with foldable as materialized (
          select a.id, m.balance_minor from unnest(moved.accounts, newest.balances) as m (account_id, balance_minor)
          cross join lateral (select id from ledger_accounts where id = m.account_id and m.balance_minor >= 0
            and m.account_id = any (newest.folding) for no key update skip locked) a
        ), done as (
          update ledger_accounts a set balance_minor = foldable.balance_minor from foldable where a.id = foldable.id
          returning a.id
        ) select coalesce(array_agg(id), '{}') into folded from done;
      end if;
      insert into ledger_balances (account_id, seq, balance_minor, folded_at)
      select account_id, seq + 1, balance_minor, case when account_id = any (folded) then clock_timestamp() else folded_at end
      from unnest(moved.accounts, newest.seqs, newest.balances, newest.folds)
        as m (account_id, seq, balance_minor, folded_at);
      if newest.tidying then
        delete from ledger_balances b using (
          select held.account_id, held.seq from unnest(moved.accounts, newest.seqs) as m (account_id, seq)
          cross join lateral (select account_id, seq from ledger_balances where m.seq % 16 = 0
            and account_id = m.account_id and seq between m.seq - 15 and m.seq for update skip locked) held) stale
        where b.account_id = stale.account_id and b.seq = stale.seq;
      end if;`;
