import { type Kysely, sql } from 'kysely';

/** How a table that is divided by time-ordered ids gets a partition. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // No UUIDv7 of that time or later sorts before it, and none of earlier after it.
  await sql`
    create function uuid_floor(at timestamptz) returns uuid language sql immutable strict parallel safe as $$
      select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
    $$`.execute(db);
  await sql`
    create function uuid_time(id uuid) returns timestamptz language sql immutable strict parallel safe as $$
      select to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)
    $$`.execute(db);
  await createAddPartition(db);
}

/**
 * A partition has all that its table has, and what a table can't hand down: the uniqueness of an id by which it is not
 * divided, and triggers of statements, which fire for the table that a statement names alone. Without bounds it is the one for
 * what fits no other; with them, it takes from that one the rows that belong to it.
 */
async function createAddPartition(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function add_partition(parent text, partition text, key text, from_id uuid, until_id uuid) returns void
    language plpgsql as $$
    declare held record;
    begin
      execute format('create table %I (like %I including all)', partition, parent);
      if not exists (select from pg_index where indrelid = partition::regclass and indisprimary) then
        execute format('alter table %I add primary key (id)', partition);
      end if;
      for held in select pg_get_triggerdef(oid) as definition from pg_trigger
        where tgrelid = parent::regclass and not tgisinternal and tgtype & 1 = 0
      loop
        execute regexp_replace(held.definition, ' ON \\S+ ', format(' ON %I ', partition));
      end loop;
      if from_id is null then
        execute format('alter table %I attach partition %I default', parent, partition);
        return;
      end if;
      execute format('alter table %I disable trigger user', parent || '_default');
      execute format('with moved as (delete from %1$I where %3$I >= %4$L and %3$I < %5$L returning *)
        insert into %2$I select * from moved', parent || '_default', partition, key, from_id, until_id);
      execute format('alter table %I enable trigger user', parent || '_default');
      execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, partition, from_id, until_id);
    end $$`.execute(db);
}
