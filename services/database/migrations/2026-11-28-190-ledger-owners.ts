import { type Kysely, sql } from 'kysely';

/**
 * Two ways in which the ledger could be made untrue with every constraint kept: a transfer about one sender's gift could move
 * another sender's money, and one that was posted while the clock was set back (another node took over, whose clock is
 * behind) could fall into a period that was closed already, so that no reading ever counted it.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await refuseMoneyOfOthers(db);
  await postAfterWhatIsClosed(db);
}

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

/**
 * Replaces the function of ledger_entries_balance: beside that entries balance and fit their transfer's kind, those of a
 * funding account's own accounts are of the funding account that the transfer's subject belongs to. A subject that is not
 * there yet is asked for by ledger_transfers_fit_gifts and …_fit_subjects.
 */
async function refuseMoneyOfOthers(db: Kysely<unknown>): Promise<void> {
  const legs = sql.lit(
    `{${transferKinds.flatMap(([kind, from, to]) => [`${kind}<${from}`, `${kind}>${to}`]).join(',')}}`,
  );
  await sql`
    create or replace function ledger_entries_balance() returns trigger language plpgsql set enable_seqscan = off as $$
    declare unbalanced boolean; misfit text; owing boolean; stray text;
    begin
      select bool_or(total <> 0), min(transfer.misfit), bool_or(transfer.owing), min(transfer.stray)
      into unbalanced, misfit, owing, stray from (
        select sum(e.amount_minor) as total, bool_or(a.kind = 'owing') as owing,
          min(leg.name) filter (where not leg.name = any (${legs}::text[])) as misfit,
          min(leg.name) filter (where a.funding_account_id <> owner.id) as stray
        from new_entries e
        cross join lateral (select * from ledger_transfers where id = e.transfer_id offset 0) t
        cross join lateral (select * from ledger_accounts where id = e.account_id offset 0) a
        cross join lateral (select t.kind || case when e.amount_minor < 0 then '<' else '>' end || a.kind as name) leg
        cross join lateral (select case
          when a.funding_account_id is null then null
          when t.gift_id is not null then (select g.funding_account_id from gifts g where g.id = t.gift_id)
          when t.topup_id is not null then (select p.funding_account_id from topups p where p.id = t.topup_id)
          when t.subject_kind = 'funding_account' then (select f.id from funding_accounts f where f.id = t.subject_id)
          else (select g.funding_account_id from vouchers v join gifts g on g.id = v.gift_id where v.id = t.subject_id)
        end as id offset 0) owner
        group by e.transfer_id, e.currency) transfer;
      if unbalanced then
        raise exception 'the entries of a transfer must sum to zero in each currency'
          using errcode = 'check_violation', constraint = 'ledger_transfers_balanced', table = 'ledger_entries';
      end if;
      if misfit is not null then
        raise exception 'a transfer has no such entry: %', misfit
          using errcode = 'check_violation', constraint = 'ledger_entries_fit_transfer', table = 'ledger_entries';
      end if;
      if stray is not null then
        raise exception 'a transfer moves money of another funding account than that of its subject: %', stray
          using errcode = 'check_violation', constraint = 'ledger_entries_fit_subject', table = 'ledger_entries';
      end if;
      if owing then
        perform 1 from ledger_accounts where kind = 'owing' and id in (select account_id from new_entries)
          order by id for no key update;
        if exists (select 1 from ledger_accounts a where kind = 'owing' and id in (select account_id from new_entries)
          and (select sum(amount_minor) from ledger_entries e where e.account_id = a.id) > 0) then
          raise exception 'more is repaid than is owed'
            using errcode = 'check_violation', constraint = 'ledger_accounts_owing_not_positive', table = 'ledger_accounts';
        end if;
      end if;
      return null;
    end $$`.execute(db);
}

/** Read from the periods, which are only appended to: the row that tells where the closing stands changes every few seconds. */
async function postAfterWhatIsClosed(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function ledger_posting_time() returns timestamptz language plpgsql set enable_seqscan = off as $$
    begin
      return greatest(clock_timestamp(), (
        select until_at + interval '1 microsecond' from ledger_periods order by id desc limit 1));
    end $$`.execute(db);
  await sql`alter table ledger_transfers alter column posted_at set default ledger_posting_time()`.execute(
    db,
  );
}
