import { type Kysely, sql } from 'kysely';

export const holds = ['audit_records_default', 'delivery_attempts_default'];
export const holdsWrites = ['deliveries'];

/** Which months there are, and how the next one is made, before anything falls into it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createViews(db);
  await createFirstMonthMissing(db);
  await createMakeNextMonth(db);
  for (let made: unknown = true; made; ) {
    const { rows } = await sql<{ made: string | null }>`select make_next_month(3) as made`.execute(db);
    made = rows[0]?.made;
  }
}

async function createViews(db: Kysely<unknown>): Promise<void> {
  await sql`
    create view month_partitions as
    select parent.relname::text as "table", part.relname::text as partition, bound = 'DEFAULT' as is_default,
      uuid_time(substring(bound from 'FROM \\(''([0-9a-f-]{36})''\\)')::uuid) as from_at,
      uuid_time(substring(bound from 'TO \\(''([0-9a-f-]{36})''\\)')::uuid) as until_at
    from pg_class parent join pg_inherits i on i.inhparent = parent.oid and not i.inhdetachpending
    join pg_class part on part.oid = i.inhrelid cross join lateral pg_get_expr(part.relpartbound, part.oid) as bound
    where parent.oid in ('delivery_attempts'::regclass, 'audit_records'::regclass)`.execute(db);
  // Counted up to ten thousand, as everything that is asked for again and again.
  await sql`
    create view rows_without_month as
    select 'delivery_attempts' as "table", count(*) as rows from (select from delivery_attempts_default limit 10000) attempts
    union all
    select 'audit_records', count(*) from (select from audit_records_default limit 10000) records`.execute(
    db,
  );
}

/**
 * From the end of the months that are over, the first that has no partition: not the last that has one, as somebody may have
 * made one of far ahead, and none would be added for years.
 */
async function createFirstMonthMissing(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function first_month_missing(of_table text) returns timestamptz language sql stable set timezone = 'UTC' as $$
      with months as (
        select coalesce(from_at, '-infinity') as from_at, until_at from month_partitions
        where "table" = of_table and not is_default
      )
      select min(starts) from generate_series(
        coalesce((select max(until_at) from months where until_at <= date_trunc('month', now())), date_trunc('month', now())),
        now() + interval '10 years', interval '1 month') as starts
      where not exists (select from months where from_at <= starts and until_at > starts)
    $$`.execute(db);
}

/**
 * Makes one month that is missing, the earliest, up to so many months ahead. @returns its name; null when none is missing.
 * Whoever may call it needs no right to make tables: it has those of the role that migrates. It asks for its locks for a
 * moment only, as everybody who reads the tables waits meanwhile (55P03: try again). More rows than `most_moved` in the
 * month that is to be made are for a person to move, in a quiet hour (54000).
 */
async function createMakeNextMonth(db: Kysely<unknown>): Promise<void> {
  const { rows } = await sql<{ schema: string }>`select current_schema() as schema`.execute(db);
  await sql`
    create function make_next_month(months_ahead integer, most_moved bigint default null) returns text
    language plpgsql security definer set search_path = ${sql.ref(rows[0]?.schema ?? '')}, pg_temp
      set timezone = 'UTC' set lock_timeout = '300ms' as $$
    declare divided record; used record; starts timestamptz; ends timestamptz; name text; misplaced bigint;
    begin
      if months_ahead not between 1 and 24 then
        raise exception 'from 1 to 24 months ahead, not %', months_ahead using errcode = 'invalid_parameter_value';
      end if;
      perform pg_advisory_xact_lock(hashtextextended('make_next_month', 0));
      for divided in values ('delivery_attempts', 'delivery_id'), ('audit_records', 'id') loop
        starts := first_month_missing(divided.column1);
        ends := starts + interval '1 month';
        continue when starts > date_trunc('month', now()) + make_interval(months => months_ahead);
        for used in select confrelid::regclass as name from pg_constraint
          where conrelid = divided.column1::regclass and contype = 'f'
        loop
          execute format('lock table %s in share row exclusive mode', used.name);
        end loop;
        execute format('lock table %I in access exclusive mode', divided.column1 || '_default');
        execute format('select count(*) from (select from %1$I where %2$I >= %3$L and %2$I < %4$L limit %5$s) found',
          divided.column1 || '_default', divided.column2, uuid_floor(starts), uuid_floor(ends), coalesce((most_moved + 1)::text, 'all')) into misplaced;
        if misplaced > most_moved then
          raise exception 'more than % rows of % wait in %_default for their month', most_moved, divided.column1, divided.column1
            using errcode = 'program_limit_exceeded', hint = 'run migrate in a quiet hour: it moves them all';
        end if;
        name := divided.column1 || to_char(starts, '_YYYY_MM');
        perform add_partition(divided.column1, name, divided.column2, uuid_floor(starts), uuid_floor(ends));
        return name;
      end loop;
      return null;
    end $$`.execute(db);
}
