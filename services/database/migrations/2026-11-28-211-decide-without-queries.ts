import { type Kysely, sql } from 'kysely';

/**
 * Replaces decide_accepts by itself, but for one thing: whether a funding account is missing is asked of those gifts only of
 * which none was found. The condition began with that, but one with a query in it is a query as a whole, and cost each gift 5 µs.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create or replace function decide_accepts(ids uuid[], sender_ids uuid[], currencies text[], amounts bigint[],
      external_ids text[], froms timestamptz[], untils timestamptz[], scope_ids uuid[], keys text[],
      lock_wait_ms integer)
    returns table (id uuid, outcome text, decided_at timestamptz, funding_account_id uuid, available_id uuid,
      reserved_id uuid, available_minor bigint, other_id uuid, earlier json)
    language plpgsql set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
    declare
      asked constant integer := coalesce(array_length(ids, 1), 0);
      running boolean[] := array_fill(false, array[asked]);
      taken integer[];
      accounts record;
      owners text[];
      held boolean[] := '{}';
      left_minor bigint[];
      external_owners uuid[];
      accepted_keys text[] := '{}';
      keys_of uuid[] := '{}';
      accepted_external_ids text[] := '{}';
      external_ids_of uuid[] := '{}';
      started constant timestamptz := clock_timestamp();
      wait_ms integer := lock_wait_ms;
      own_key text;
      own_external_id text;
      account integer;
      unfunded boolean;
    begin
      perform set_config('lock_timeout', greatest(lock_wait_ms, 1) || 'ms', true);
      for i in 1 .. asked loop
        running[i] := keys[i] is not null
          and not pg_try_advisory_xact_lock(hashtextextended(scope_ids[i] || ':' || keys[i], 0));
      end loop;
      taken := array(
        select a.place from unnest(scope_ids, keys) with ordinality as a (scope_id, key, place)
        join idempotency_keys k on k.scope_id = a.scope_id and k.key = a.key);
      -- These rows are what the inserts look up by their foreign keys: who holds one of them holds up a single sender.
      select array_agg(l.owner order by l.lock_key) as owners, array_agg(l.id order by l.lock_key) as ids,
        array_agg(l.available_id order by l.lock_key) as available_ids,
        array_agg(l.reserved_id order by l.lock_key) as reserved_ids,
        array_agg(l.lock_key order by l.lock_key) as lock_keys
      into accounts from (
        select distinct a.sender_id, a.currency from unnest(sender_ids, currencies) with ordinality
          as a (sender_id, currency, place) where not running[a.place] and a.place <> all (taken)) a
      join lateral (
        select a.sender_id || a.currency as owner, f.id, v.id as available_id, r.id as reserved_id,
          ledger_lock_key(f.id) as lock_key
        from funding_accounts f
        join senders s on s.id = f.sender_id
        join ledger_accounts v on v.funding_account_id = f.id and v.kind = 'available'
        join ledger_accounts r on r.funding_account_id = f.id and r.kind = 'reserved'
        where f.sender_id = a.sender_id and f.currency = a.currency::char(3)
        for key share of f, s, v, r skip locked) l on true;
      owners := coalesce(accounts.owners, '{}');
      for i in 1 .. coalesce(array_length(owners, 1), 0) loop
        held[i] := pg_try_advisory_xact_lock(accounts.lock_keys[i]);
        if not held[i] and wait_ms > 0 then
          begin
            perform set_config('lock_timeout', wait_ms || 'ms', true);
            perform pg_advisory_xact_lock(accounts.lock_keys[i]);
            held[i] := true;
          exception when lock_not_available or deadlock_detected then null;
          end;
          wait_ms := lock_wait_ms - floor(extract(epoch from clock_timestamp() - started) * 1000);
          perform set_config('lock_timeout', greatest(lock_wait_ms, 1) || 'ms', true);
        end if;
      end loop;
      -- Statements of their own: they see what whoever held the locks before has committed.
      left_minor := array(
        select coalesce((select b.balance_minor from ledger_balances b where b.account_id = a.id
          order by b.seq desc limit 1), 0)
        from unnest(accounts.available_ids) with ordinality as a (id, place) order by a.place);
      if array_remove(external_ids, null) <> '{}' then
        external_owners := array(
          select (select g.id from gifts g where g.sender_id = a.sender_id and g.external_id = a.external_id)
          from unnest(sender_ids, external_ids) with ordinality as a (sender_id, external_id, place) order by a.place);
      end if;
      decided_at := date_trunc('milliseconds', clock_timestamp());
      for i in 1 .. asked loop
        id := ids[i];
        account := array_position(owners, sender_ids[i] || currencies[i]);
        funding_account_id := accounts.ids[account];
        available_id := accounts.available_ids[account];
        reserved_id := accounts.reserved_ids[account];
        available_minor := left_minor[account];
        own_key := scope_ids[i] || ':' || keys[i];
        own_external_id := sender_ids[i] || ':' || external_ids[i];
        other_id := null;
        earlier := null;
        unfunded := false;
        if account is null then
          unfunded := not exists (select from funding_accounts f
            where f.sender_id = sender_ids[i] and f.currency = currencies[i]::char(3));
        end if;
        if running[i] then outcome := 'running';
        elsif i = any (taken) then
          outcome := 'taken';
          earlier := (select json_build_object('fingerprint', encode(k.fingerprint, 'base64'), 'status', k.status,
            'body', k.body, 'location', k.location) from idempotency_keys k
            where k.scope_id = scope_ids[i] and k.key = keys[i]);
        elsif own_key = any (accepted_keys) then
          outcome := 'taken';
          other_id := keys_of[array_position(accepted_keys, own_key)];
        elsif unfunded then outcome := 'unfunded';
        elsif decided_at < froms[i] or decided_at >= untils[i] then outcome := 'untimely';
        elsif account is null or not held[account] then outcome := 'busy';
        elsif external_owners[i] is not null or own_external_id = any (accepted_external_ids) then
          outcome := 'external_id_taken';
          other_id := coalesce(external_owners[i],
            external_ids_of[array_position(accepted_external_ids, own_external_id)]);
        elsif amounts[i] > available_minor then outcome := 'insufficient';
        else
          outcome := 'accepted';
          left_minor[account] := available_minor - amounts[i];
          if own_key is not null then
            accepted_keys := array_append(accepted_keys, own_key);
            keys_of := array_append(keys_of, id);
          end if;
          if own_external_id is not null then
            accepted_external_ids := array_append(accepted_external_ids, own_external_id);
            external_ids_of := array_append(external_ids_of, id);
          end if;
        end if;
        return next;
      end loop;
    end $$`.execute(db);
}
