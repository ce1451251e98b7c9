import { type Kysely, sql } from 'kysely';

/**
 * The ledger gets words for all that happens to money, any number of transfers per subject, and constraints that tie each
 * transfer to the state of what it is about. Rows that are there stay as they are, and so does what the previous release
 * writes: a gift or a top-up is named by its own column, everything else by subject_kind and subject_id.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await extendAccounts(db);
  await extendTransfers(db);
  await indexTransfers(db);
  await refuseMisfittingEntries(db);
}

// The kinds as they were when this migration was written: it imports nothing that may change later.
const accountKinds = [
  'world',
  'available',
  'reserved',
  'owing',
  'outstanding',
  'held',
  'redeemed',
  'reissuing',
  'escheated',
  'fees',
  'written_off',
];

/** Transfer kind, subject, and the accounts that it takes from and gives to. */
const transferKinds = [
  ['topup', 'topup', 'world', 'available'],
  ['refund', 'topup', 'available', 'world'],
  ['dispute', 'topup', 'available', 'world'],
  ['owe', 'topup', 'owing', 'world'],
  ['repay', 'funding_account', 'available', 'owing'],
  ['write_off', 'funding_account', 'written_off', 'owing'],
  ['fee', 'funding_account', 'available', 'fees'],
  ['reserve', 'gift', 'available', 'reserved'],
  ['commit', 'gift', 'reserved', 'outstanding'],
  ['release', 'gift', 'reserved', 'available'],
  ['return', 'gift', 'outstanding', 'available'],
  ['redeem', 'voucher', 'outstanding', 'redeemed'],
  ['rollback', 'voucher', 'redeemed', 'outstanding'],
  ['hold', 'voucher', 'outstanding', 'held'],
  ['capture', 'voucher', 'held', 'redeemed'],
  ['void', 'voucher', 'held', 'outstanding'],
  ['lapse', 'voucher', 'outstanding', 'available'],
  ['escheat', 'voucher', 'outstanding', 'escheated'],
  ['reissue_out', 'voucher', 'outstanding', 'reissuing'],
  ['reissue_in', 'voucher', 'reissuing', 'outstanding'],
] as const;

/** Caused by their subject itself, hence once: all others name a cause. */
const onceKinds = ['topup', 'reserve', 'commit', 'release', 'return'];

const list = (values: readonly string[]) => sql.lit(`{${values.join(',')}}`);

/** Rows of before satisfy narrower constraints already: NOT VALID spares them a scan under an exclusive lock. */
async function extendAccounts(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table ledger_accounts
      drop constraint ledger_accounts_kind_known, drop constraint ledger_accounts_owner,
      add constraint ledger_accounts_kind_known check (kind = any (${list(accountKinds)}::text[])) not valid,
      add constraint ledger_accounts_owner
        check ((kind in ('available', 'reserved', 'owing')) = (funding_account_id is not null)) not valid`.execute(
    db,
  );
}

async function extendTransfers(db: Kysely<unknown>): Promise<void> {
  const kinds = transferKinds.map(([kind]) => kind);
  const subjects = transferKinds.map(([kind, subject]) => `${kind}:${subject}`);
  await sql`
    alter table ledger_transfers
      add column subject_kind text, add column subject_id uuid, add column cause_id uuid,
      drop constraint ledger_transfers_kind_known, drop constraint ledger_transfers_one_subject,
      add constraint ledger_transfers_kind_known check (kind = any (${list(kinds)}::text[])) not valid,
      add constraint ledger_transfers_one_subject check (num_nonnulls(gift_id, topup_id, subject_id) = 1
        and (subject_id is null) = (subject_kind is null)) not valid,
      add constraint ledger_transfers_subject_fits check (kind || ':' || case when gift_id is not null then 'gift'
        when topup_id is not null then 'topup' else subject_kind end = any (${list(subjects)}::text[])) not valid,
      add constraint ledger_transfers_cause_named
        check ((cause_id is null) = (kind = any (${list(onceKinds)}::text[]))) not valid`.execute(db);
}

/** One index says "once per cause" for every kind of subject, and finds a subject's transfers: the two of before did so each for one. */
async function indexTransfers(db: Kysely<unknown>): Promise<void> {
  await sql`alter table ledger_transfers drop constraint ledger_transfers_once_per_topup`.execute(db);
  await sql`drop index ledger_transfers_once_per_gift`.execute(db);
  await sql`
    create unique index ledger_transfers_once_per_cause on ledger_transfers (
      (coalesce(gift_id, topup_id, subject_id)), kind, (coalesce(cause_id, gift_id, topup_id, subject_id)))`.execute(
    db,
  );
}

/**
 * Replaces the function of ledger_entries_balance: beside that they balance, entries must be those of their transfer's kind,
 * and nobody may owe less than nothing. The row of an owing account is locked first, so that two who repay it at once see
 * each other. Each OFFSET is a fence: without it, the plan
 * that is made while tables are small, and kept, would hash a whole table.
 */
async function refuseMisfittingEntries(db: Kysely<unknown>): Promise<void> {
  const legs = transferKinds.flatMap(([kind, , from, to]) => [`${kind}<${from}`, `${kind}>${to}`]);
  await sql`
    create or replace function ledger_entries_balance() returns trigger language plpgsql as $$
    declare unbalanced boolean; misfit text; owing boolean;
    begin
      select bool_or(total <> 0), min(transfer.misfit), bool_or(transfer.owing) into unbalanced, misfit, owing from (
        select sum(e.amount_minor) as total, bool_or(a.kind = 'owing') as owing,
          min(leg.name) filter (where not leg.name = any (${list(legs)}::text[])) as misfit
        from new_entries e
        cross join lateral (select kind from ledger_transfers where id = e.transfer_id offset 0) t
        cross join lateral (select kind from ledger_accounts where id = e.account_id offset 0) a
        cross join lateral (select t.kind || case when e.amount_minor < 0 then '<' else '>' end || a.kind as name) leg
        group by e.transfer_id, e.currency) transfer;
      if unbalanced then
        raise exception 'the entries of a transfer must sum to zero in each currency'
          using errcode = 'check_violation', constraint = 'ledger_transfers_balanced', table = 'ledger_entries';
      end if;
      if misfit is not null then
        raise exception 'a transfer has no such entry: %', misfit
          using errcode = 'check_violation', constraint = 'ledger_entries_fit_transfer', table = 'ledger_entries';
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
