import { type Kysely, sql } from 'kysely';

/**
 * What becomes of each gift of a set is decided before anything is written, so a refusal is the outcome of its row and
 * not an exception for its neighbours. It takes a function, because a decision needs what is true after its locks are
 * held, and a statement of its own sees no more than what was true when it began.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createDecisions(db);
  await createIsolation(db);
}

/**
 * `asked` is an array of `{id, sender_id, currency, amount_minor, external_id, from, until, claim: {scope_id, key}}`. The
 * outcomes: `accepted`, `running` (another transaction holds the key), `taken` (the key has an answer: `earlier`, or that of
 * `other_id` in this very set), `unfunded` (no such account), `untimely` (not between `from` and `until`), `busy`
 * (somebody holds the account, its sender or its balance), `external_id_taken` (by `other_id`), `insufficient`.
 * `available_minor` is what there was before this gift.
 *
 * Keys are never waited for, and balances no longer than `lock_wait_ms` together; whatever else the statement around this
 * waits for has that bound too. A gift that is too large for what is left takes nothing from the ones after it.
 */
async function createDecisions(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function decide_accepts(asked json, lock_wait_ms integer)
    returns table (id uuid, outcome text, decided_at timestamptz, funding_account_id uuid, available_id uuid,
      reserved_id uuid, available_minor bigint, other_id uuid, earlier json)
    language plpgsql set enable_seqscan = off as $$
    #variable_conflict use_column
    declare
      running uuid[];
      fresh uuid[];
      lockable uuid[];
      held uuid[] := '{}';
      account uuid;
      started timestamptz := clock_timestamp();
      wait_ms integer := lock_wait_ms;
      gift record;
      left_of jsonb := '{}';
      with_key jsonb := '{}';
      with_external_id jsonb := '{}';
    begin
      perform set_config('lock_timeout', greatest(lock_wait_ms, 1) || 'ms', true);
      select coalesce(array_agg(turn.id) filter (where not turn.got), '{}') into running from (
        select a.id, pg_try_advisory_xact_lock(
          hashtextextended((a.claim ->> 'scope_id') || ':' || (a.claim ->> 'key'), 0)) as got
        from json_to_recordset(asked) as a (id uuid, claim json)
        where json_typeof(a.claim) = 'object' offset 0) turn;
      select coalesce(array_agg(a.id), '{}') into fresh from json_to_recordset(asked) as a (id uuid, claim json)
        where a.id <> all (running) and not exists (select from idempotency_keys k
          where k.scope_id = (a.claim ->> 'scope_id')::uuid and k.key = a.claim ->> 'key');
      -- The keys of these rows are what the inserts look up: who holds one of them holds up a single sender.
      lockable := array(
        select f.id from funding_accounts f
        join senders s on s.id = f.sender_id
        join ledger_accounts v on v.funding_account_id = f.id and v.kind = 'available'
        join ledger_accounts r on r.funding_account_id = f.id and r.kind = 'reserved'
        where (f.sender_id, f.currency) in (
          select a.sender_id, a.currency from json_to_recordset(asked) as a (id uuid, sender_id uuid, currency char(3))
          where a.id = any (fresh))
        for key share of f, s, v, r skip locked);
      for account in select l.id from unnest(lockable) as l (id) order by ledger_lock_key(l.id) loop
        if pg_try_advisory_xact_lock(ledger_lock_key(account)) then
          held := held || account;
        elsif wait_ms > 0 then
          begin
            perform set_config('lock_timeout', wait_ms || 'ms', true);
            perform pg_advisory_xact_lock(ledger_lock_key(account));
            held := held || account;
          exception when lock_not_available or deadlock_detected then null;
          end;
          wait_ms := lock_wait_ms - floor(extract(epoch from clock_timestamp() - started) * 1000);
        end if;
      end loop;
      perform set_config('lock_timeout', greatest(lock_wait_ms, 1) || 'ms', true);
      decided_at := date_trunc('milliseconds', clock_timestamp());
      for gift in
        select a.*, a.id = any (running) as is_running, funded.*,
          (a.claim ->> 'scope_id') || ':' || (a.claim ->> 'key') as claimed_key,
          a.sender_id || ':' || a.external_id as own_external_id,
          (select json_build_object('fingerprint', encode(k.fingerprint, 'base64'), 'status', k.status, 'body', k.body,
              'location', k.location) from idempotency_keys k
            where k.scope_id = (a.claim ->> 'scope_id')::uuid and k.key = a.claim ->> 'key') as earlier,
          (select g.id from gifts g where g.sender_id = a.sender_id and g.external_id = a.external_id) as taken_by
        from rows from (json_to_recordset(asked) as (id uuid, sender_id uuid, currency char(3), amount_minor bigint,
          external_id text, "from" timestamptz, until timestamptz, claim json)) with ordinality
          as a (id, sender_id, currency, amount_minor, external_id, "from", until, claim, place)
        left join lateral (
          select f.id as funding_id, v.id as v_id, r.id as r_id, v.balance_minor as funds
          from funding_accounts f
          join ledger_account_balances v on v.funding_account_id = f.id and v.kind = 'available'
          join ledger_accounts r on r.funding_account_id = f.id and r.kind = 'reserved'
          where f.sender_id = a.sender_id and f.currency = a.currency
        ) funded on true
        order by place
      loop
        id := gift.id;
        funding_account_id := gift.funding_id;
        available_id := gift.v_id;
        reserved_id := gift.r_id;
        available_minor := coalesce((left_of ->> gift.funding_id::text)::bigint, gift.funds);
        earlier := gift.earlier;
        other_id := null;
        if gift.is_running then outcome := 'running';
        elsif gift.earlier is not null then outcome := 'taken';
        elsif with_key ? gift.claimed_key then
          outcome := 'taken';
          other_id := (with_key ->> gift.claimed_key)::uuid;
        elsif gift.funding_id is null then outcome := 'unfunded';
        elsif decided_at < gift."from" or decided_at >= gift.until then outcome := 'untimely';
        elsif gift.funding_id <> all (held) then outcome := 'busy';
        elsif gift.taken_by is not null or with_external_id ? gift.own_external_id then
          outcome := 'external_id_taken';
          other_id := coalesce(gift.taken_by, (with_external_id ->> gift.own_external_id)::uuid);
        elsif gift.amount_minor > available_minor then
          outcome := 'insufficient';
        else
          outcome := 'accepted';
          left_of := left_of || jsonb_build_object(gift.funding_id, available_minor - gift.amount_minor);
          if gift.claimed_key is not null then
            with_key := with_key || jsonb_build_object(gift.claimed_key, id);
          end if;
          if gift.own_external_id is not null then
            with_external_id := with_external_id || jsonb_build_object(gift.own_external_id, id);
          end if;
        end if;
        return next;
      end loop;
    end $$`.execute(db);
}

/**
 * Runs a statement over rows (its $1; $2 are its other arguments) in ever smaller halves, until what the database refuses
 * stands alone: one transaction, one round trip and one commit, however many there are. What a half had written goes with
 * it. Only what may be about a row is its outcome (by SQLSTATE); all else is everybody's and goes on.
 */
async function createIsolation(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function run_isolated(statement text, rows json, arguments json) returns setof json
    language plpgsql as $$
    declare
      row_count integer := json_array_length(rows);
      outcomes json[] := '{}';
      outcome record;
      refused_by text;
    begin
      begin
        for outcome in execute statement using rows, arguments loop
          outcomes := outcomes || row_to_json(outcome);
        end loop;
        set constraints all immediate;
        return query select unnest(outcomes);
        return;
      exception when others then
        if sqlstate !~ '^(2[1237]|3[89]|44|54|P0)' or sqlstate = '2200H' then raise; end if;
        get stacked diagnostics refused_by = constraint_name;
        if row_count <= 1 then
          return next json_build_object('id', rows -> 0 -> 'id', 'outcome', 'refused', 'sqlstate', sqlstate,
            'refused_by', nullif(refused_by, ''));
          return;
        end if;
      end;
      return query select run_isolated(statement, half.rows, arguments) from (
        select json_agg(value order by place) as rows from json_array_elements(rows) with ordinality as r (value, place)
        group by place <= row_count / 2 order by min(place)) half;
    end $$`.execute(db);
}
