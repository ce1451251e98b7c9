import { type Kysely, sql } from 'kysely';

/** A window is cut into so many slots. */
const most = sql.lit(60 + 1);
/** A state counts for no more slots than this after it was written, also one that was ahead when the clock was set back. */
const longest = sql.lit(2 * (60 + 1));

/**
 * Budgets whose newest state is a row of its own, and the state before is deleted: a row that every request changes grows a version
 * by each for as long as a snapshot is open elsewhere, and each look-up walks past all of them. Unlogged, as the table of
 * the release before, which keeps its budgets there.
 *
 * The newest state is looked for among those that can still count. A budget that ended has none: while a snapshot stays open
 * elsewhere, the look for it would walk past all that it ever had, and everybody who asked together with it would wait: 0.8 s after
 * 200,000 takings. An older state that is thereby left goes with the ended ones.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create unlogged table budgets (
      key varchar(255) not null,
      seq bigint not null,
      points integer not null,
      expire bigint not null,
      quota integer not null,
      slot_ms integer not null,
      slot bigint not null,
      oldest_slot bigint not null,
      counts integer[] not null,
      primary key (key, seq)
    )`.execute(db);
  await sql`create index budgets_by_end on budgets (expire)`.execute(db);
  await sql`
    create function take_points(keys text[], asked_points integer[], quotas integer[], slot_lengths integer[])
    returns table (key text, granted integer, used integer, reset_ms integer) language plpgsql
    set lock_timeout = '500ms' set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
    #variable_conflict use_column
    declare now_ms double precision;
    begin
      -- In one order, so that two which take from the same budgets can not wait for each other.
      perform pg_advisory_xact_lock(id)
        from (select distinct hashtextextended('budget:' || name, 0) as id from unnest(keys) as name order by id) locks;
      -- What follows sees what those wrote who had the locks before.
      now_ms := extract(epoch from clock_timestamp()) * 1000;
      return query with asked as (
        select *, floor(now_ms / slot_ms)::bigint as now_slot
        from unnest(keys, asked_points, quotas, slot_lengths) as asked (key, wanted, quota, slot_ms)
      ), taken as materialized (
        select asked.*, last.place, greatest(coalesce(last.seq, 0) + 1, (now_ms * 1000)::bigint) as seq, now.slot,
          now.oldest_slot, now.counts, now.used, greatest(0, least(wanted, asked.quota - now.used)) as granted
        from asked
        left join lateral (
          select *, ctid as place from budgets
          where key = asked.key and seq > ((now_ms - ${longest} * asked.slot_ms::bigint) * 1000)::bigint
          order by seq desc limit 1
        ) last on true
        cross join lateral (
          select last.slot, last.oldest_slot, last.counts, last.points as used
          where last.slot_ms = asked.slot_ms and now_slot between last.slot - ${most} and last.slot
          union all
          select now_slot, now_slot - coalesce(max(nth) filter (where count > 0), 1) + 1, array_agg(count order by nth),
            sum(count)::integer
          from unnest(array_fill(0, array[(now_slot - last.slot)::integer]) || last.counts)
            with ordinality as moved (count, nth)
          where nth <= ${most} and last.slot_ms = asked.slot_ms and now_slot between last.slot + 1 and last.slot + ${most}
          having count(*) > 0
          union all
          select now_slot, now_slot, array[0], 0
          where (last.slot_ms = asked.slot_ms and now_slot between last.slot - ${most} and last.slot + ${most}) is not true
        ) now
      ), appended as (
        insert into budgets (key, seq, points, expire, quota, slot_ms, slot, oldest_slot, counts)
        select key, seq, used + granted, (slot + ${most}) * slot_ms, quota, slot_ms, slot, oldest_slot,
          array[counts[1] + granted] || counts[2:]
        from taken where granted > 0
      ), gone as (
        delete from budgets where ctid = any (array(select place from taken where granted > 0 and place is not null))
      )
      select key, granted, used + granted,
        greatest(1, (oldest_slot + ${most}) * slot_ms - now_ms)::integer
      from taken;
    end $$`.execute(db);
}
