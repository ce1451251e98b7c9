import { type Kysely, sql } from 'kysely';

/**
 * Ties transfers and the state of what they are about to each other, both ways: no gift is delivered without its commit, no
 * commit is there for a gift that is not. A gift and its money change in one statement, at whose end both are
 * checked: gifts are many, and checks at commit took a tenth of an accept. All else waits for the end of its transaction.
 * Each OFFSET is a fence: without it, the plan that is made while tables are small, and kept, would hash a whole table.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await checkGifts(db);
  await checkTopups(db);
  await checkVouchers(db);
  await checkTransfers(db);
}

const giftTransitions = [
  'held>queued',
  'held>scheduled',
  'held>rejected',
  'held>cancelled',
  'held>expired',
  'scheduled>queued',
  'scheduled>cancelled',
  'scheduled>expired',
  'queued>delivering',
  'queued>failed',
  'queued>cancelled',
  'queued>expired',
  'delivering>queued',
  'delivering>delivered',
  'delivering>failed',
  'delivering>cancelled',
  'delivered>claimed',
  'delivered>cancelled',
  'delivered>expired',
];

const list = (values: readonly string[]) => sql.lit(`{${values.join(',')}}`);
const underWay = sql`('held', 'scheduled', 'queued', 'delivering')`;

/** What a gift's money must have done in its state: 1 reserved, 10 committed, 100 released, 1000 returned. */
async function checkGifts(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function refuse_gift_without_its_money(gift uuid) returns void language plpgsql set enable_seqscan = off as $$
    declare misfit text;
    begin
      select g.state || ':' || m.moves into misfit
      from gifts g cross join lateral (
        select coalesce(sum(case t.kind when 'reserve' then 1 when 'commit' then 10 when 'release' then 100 else 1000 end), 0)
            as moves,
          coalesce(bool_and(exists (select 1 from ledger_entries e
            where e.transfer_id = t.id and e.amount_minor = g.amount_minor)), true) as whole
        from ledger_transfers t where coalesce(t.gift_id, t.topup_id, t.subject_id) = g.id) m
      where g.id = gift and not (m.whole and case
        when g.state in ('held', 'scheduled', 'queued', 'delivering') then m.moves = 1
        when g.state in ('delivered', 'claimed') then m.moves = 11
        when g.state in ('failed', 'rejected') then m.moves = 101
        else m.moves in (101, 1011) end);
      if found then
        raise exception 'the money of gift % does not fit its state: %', gift, misfit using errcode = 'check_violation',
          constraint = 'gifts_money_fits_state', table = 'gifts',
          hint = 'a state changes together with its transfer: reserve 1, commit 10, release 100, return 1000';
      end if;
    end $$`.execute(db);
  await sql`
    create function gifts_come_with_their_money() returns trigger language plpgsql as $$
    declare gift uuid;
    begin
      for gift in select id from new_gifts g where g.state not in ${underWay} or not exists (select 1
        from ledger_transfers t where coalesce(t.gift_id, t.topup_id, t.subject_id) = g.id and t.kind = 'reserve' offset 0)
        loop
        perform refuse_gift_without_its_money(gift);
      end loop;
      return null;
    end $$`.execute(db);
  await sql`
    create trigger gifts_come_with_their_money after insert on gifts referencing new table as new_gifts
      for each statement execute function gifts_come_with_their_money()`.execute(db);
  await refuseGiftsWhoseMoneyStays(db);
  await sql`
    create function gifts_amount_fits_money() returns trigger language plpgsql as $$
    begin
      perform refuse_gift_without_its_money(new.id);
      return null;
    end $$`.execute(db);
  await sql`
    create constraint trigger gifts_amount_fits_money after update of amount_minor on gifts
      deferrable initially deferred for each row when (old.amount_minor <> new.amount_minor)
      execute function gifts_amount_fits_money()`.execute(db);
}

/**
 * Replaces the function of gifts_transition_legal, as a trigger of its own took a tenth of a settlement: into a state that
 * comes with a transfer, no gift goes without it. What the transfer itself had to fit is not asked again.
 */
async function refuseGiftsWhoseMoneyStays(db: Kysely<unknown>): Promise<void> {
  await sql`
    create or replace function gifts_transition_legal() returns trigger language plpgsql as $$
    begin
      if not (old.state || '>' || new.state = any (${list(giftTransitions)}::text[])) then
        raise exception '% % can not go from % to %', tg_table_name, new.id, old.state, new.state
          using errcode = 'check_violation', constraint = tg_table_name || '_transition_legal', table = tg_table_name;
      end if;
      if new.state in ('delivered', 'failed', 'rejected', 'cancelled', 'expired') then
        perform 1 from ledger_transfers t where coalesce(t.gift_id, t.topup_id, t.subject_id) = new.id and case
          when new.state = 'delivered' then t.kind = 'commit'
          when new.state in ('failed', 'rejected') then t.kind = 'release'
          else t.kind in ('release', 'return') end;
        if not found then
          raise exception 'gift % is %, and its money did not move', new.id, new.state
            using errcode = 'check_violation', constraint = 'gifts_money_fits_state', table = 'gifts',
              hint = 'the statement that changes a gift writes its transfer';
        end if;
      end if;
      return null;
    end $$`.execute(db);
}

async function checkTopups(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function refuse_topup_without_its_money(topup uuid) returns void language plpgsql set enable_seqscan = off as $$
    declare misfit text;
    begin
      -- Two that take from one top-up at once would not see each other.
      perform 1 from topups where id = topup for no key update;
      select p.state || ':' || m.credited || '-' || m.taken into misfit
      from topups p cross join lateral (
        select coalesce(sum(e.amount_minor) filter (where t.kind = 'topup'), 0) as credited,
          coalesce(sum(e.amount_minor) filter (where t.kind <> 'topup'), 0) as taken
        from ledger_transfers t join ledger_entries e on e.transfer_id = t.id and e.amount_minor > 0
        where coalesce(t.gift_id, t.topup_id, t.subject_id) = p.id) m
      where p.id = topup and not case p.state
        when 'credited' then m.credited = p.amount_minor and m.taken < p.amount_minor
        when 'reversed' then m.credited = p.amount_minor and m.taken = p.amount_minor
        else m.credited = 0 and m.taken = 0 end;
      if found then
        raise exception 'the money of top-up % does not fit its state: %', topup, misfit using errcode = 'check_violation',
          constraint = 'topups_money_fits_state', table = 'topups';
      end if;
    end $$`.execute(db);
  await sql`
    create function topups_money_fits_state() returns trigger language plpgsql as $$
    begin
      perform refuse_topup_without_its_money(new.id);
      return null;
    end $$`.execute(db);
  await sql`
    create constraint trigger topups_money_fits_state after insert or update of state, amount_minor on topups
      deferrable initially deferred for each row execute function topups_money_fits_state()`.execute(db);
}

/** What is left on the voucher of a delivered gift, held or not, is its balance; of a gift under way nothing is issued yet. */
async function checkVouchers(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function refuse_voucher_without_its_money(voucher uuid) returns void language plpgsql set enable_seqscan = off as $$
    declare misfit text;
    begin
      -- Two that spend from one voucher at once would not see each other.
      perform 1 from vouchers where id = voucher for no key update;
      select v.balance_minor || ' <> ' || m.outstanding || ' + ' || m.held into misfit
      from vouchers v join gifts g on g.id = v.gift_id cross join lateral (
        select coalesce(sum(e.amount_minor) filter (where a.kind = 'outstanding'), 0) as outstanding,
          coalesce(sum(e.amount_minor) filter (where a.kind = 'held'), 0) as held,
          coalesce(sum(e.amount_minor) filter (where a.kind = 'redeemed'), 0) as redeemed, count(t.subject_id) as spends
        from ledger_transfers t join ledger_entries e on e.transfer_id = t.id join ledger_accounts a on a.id = e.account_id
        where coalesce(t.gift_id, t.topup_id, t.subject_id) in (v.id, v.gift_id)) m
      where v.id = voucher and not case when g.state in ('held', 'scheduled', 'queued', 'delivering') then m.spends = 0
        else m.outstanding >= 0 and m.held >= 0 and m.redeemed >= 0 and m.outstanding + m.held = v.balance_minor end;
      if found then
        raise exception 'the money of voucher % does not fit its balance: %', voucher, misfit
          using errcode = 'check_violation', constraint = 'vouchers_money_fits_balance', table = 'vouchers';
      end if;
    end $$`.execute(db);
  await sql`
    create function vouchers_money_fits_balance() returns trigger language plpgsql as $$
    begin
      perform refuse_voucher_without_its_money(new.id);
      return null;
    end $$`.execute(db);
  await sql`
    create constraint trigger vouchers_money_fits_balance after update of balance_minor on vouchers
      deferrable initially deferred for each row when (old.balance_minor <> new.balance_minor)
      execute function vouchers_money_fits_balance()`.execute(db);
}

/** A transfer needs entries, and a subject in a state that it fits. */
async function checkTransfers(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function ledger_transfers_fit_gifts() returns trigger language plpgsql as $$
    declare misfit text;
    begin
      select t.kind || ' of gift ' || t.gift_id || ' that is ' || coalesce(g.state, 'not there') into misfit
      from new_transfers t
      left join lateral (select id, state, amount_minor from gifts where id = t.gift_id offset 0) g on true
      where t.gift_id is not null and not (g.id is not null and case t.kind
          when 'reserve' then g.state in ${underWay}
          when 'commit' then g.state in ('delivered', 'claimed')
          else g.state in ('failed', 'rejected', 'cancelled', 'expired') and (t.kind = 'return') = exists (select 1
            from ledger_transfers other where coalesce(other.gift_id, other.topup_id, other.subject_id) = g.id
              and other.kind = 'commit' offset 0) end
        and exists (select 1 from ledger_entries e where e.transfer_id = t.id and e.amount_minor = g.amount_minor offset 0))
      limit 1;
      if found then
        raise exception 'a transfer does not fit its gift, or has not its entries: %', misfit
          using errcode = 'check_violation', constraint = 'ledger_transfers_fit_gifts', table = 'ledger_transfers',
            hint = 'a transfer is written in the statement that changes its gift';
      end if;
      return null;
    end $$`.execute(db);
  await sql`
    create trigger ledger_transfers_fit_gifts after insert on ledger_transfers referencing new table as new_transfers
      for each statement execute function ledger_transfers_fit_gifts()`.execute(db);
  await sql`
    create function ledger_transfers_fit_subjects() returns trigger language plpgsql set enable_seqscan = off as $$
    begin
      if new.topup_id is not null then
        perform refuse_topup_without_its_money(new.topup_id);
      elsif not (case new.subject_kind when 'voucher' then exists (select 1 from vouchers where id = new.subject_id)
        else exists (select 1 from funding_accounts where id = new.subject_id) end) then
        raise exception 'transfer % is about nothing that there is', new.id
          using errcode = 'check_violation', constraint = 'ledger_transfers_subject_exists', table = 'ledger_transfers';
      elsif new.subject_kind = 'voucher' then
        perform refuse_voucher_without_its_money(new.subject_id);
      end if;
      return null;
    end $$`.execute(db);
  await sql`
    create constraint trigger ledger_transfers_fit_subjects after insert on ledger_transfers
      deferrable initially deferred for each row when (new.gift_id is null)
      execute function ledger_transfers_fit_subjects()`.execute(db);
  // Entries of a gift's transfer are asked for above.
  await sql`drop trigger ledger_transfers_have_entries on ledger_transfers`.execute(db);
  await sql`
    create constraint trigger ledger_transfers_have_entries after insert on ledger_transfers
      deferrable initially deferred for each row when (new.gift_id is null)
      execute function ledger_transfers_have_entries()`.execute(db);
}
