import { type Kysely, sql } from 'kysely';

export const holds = ['audit_records', 'deliveries', 'delivery_attempts'];

/**
 * Attempts and audit records are kept by the month, so that a month can be taken off as a whole. The table of before becomes
 * the partition `<table>_past`: no row is copied, and no index built. Ids are UUIDv7, whose first 48 bits are the time:
 * attempts are divided by the id of their delivery and audit records by their own, so that what is unique stays unique, and
 * a statement that knows the id finds its partition.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const table of divided) {
    const bound = await pastBound(db, table);
    await setPastAside(db, table);
    await createDivided(db, table);
    await copyPrivileges(db, table.name);
    await sql`
      select add_partition(${sql.lit(table.name)}, ${sql.lit(`${table.name}_default`)}, ${sql.lit(table.key)}, null, null)`.execute(
      db,
    );
    await attachPast(db, table, bound);
  }
}

type Divided = {
  name: string;
  key: string;
  /** those of the old table; the new one takes their names, and has those that are given here */
  constraints: Readonly<Record<string, string | null>>;
  index: { suffix: string; definition: string };
  isAppendOnly: boolean;
};

const divided: readonly Divided[] = [
  {
    name: 'delivery_attempts',
    key: 'delivery_id',
    constraints: {
      number_unique: 'unique (delivery_id, number)',
      delivery_id_fkey: 'foreign key (delivery_id) references deliveries',
      pkey: null,
    },
    index: { suffix: 'open', definition: "(delivery_id) where outcome = 'started'" },
    isAppendOnly: false,
  },
  {
    name: 'audit_records',
    key: 'id',
    constraints: { pkey: 'primary key (id)' },
    index: { suffix: 'by_subject', definition: '(subject_id, created_at, id)' },
    isAppendOnly: true,
  },
];

/**
 * Where the past ends: as promised and proven. Else, or when an upgrade that stopped halfway goes on so late that the promise
 * is nearly over, the table is read now. Without rows there is no past but the months before this one.
 */
async function pastBound(db: Kysely<unknown>, { name }: Divided): Promise<string> {
  const { rows } = await sql<{ bound: string; promised: boolean }>`
    with promise as (
      select substring(pg_get_constraintdef(oid) from '''([0-9a-f-]{36})''')::uuid as bound from pg_constraint
      where conrelid = ${name}::regclass and conname = ${`${name}_before`} and convalidated
    ), here as (
      select date_trunc('month', now() at time zone 'UTC') as month, exists (select from ${sql.table(name)}) as used
    )
    select coalesce(promise.bound, uuid_floor((month + case when used then interval '3 months' else '0' end) at time zone 'UTC'))
      as bound, promise.bound is not null as promised
    from here left join promise on used and promise.bound > uuid_floor(now() + interval '14 days')`.execute(
    db,
  );
  const [found] = rows;
  if (found === undefined) throw new Error(`where the past of ${name} ends is not known`);
  if (!found.promised) await dropPromise(db, name, name);
  return found.bound;
}

async function dropPromise(db: Kysely<unknown>, name: string, of: string): Promise<void> {
  await sql`alter table ${sql.table(of)} drop constraint if exists ${sql.ref(`${name}_before`)}`.execute(db);
}

async function setPastAside(db: Kysely<unknown>, { name, constraints, index }: Divided): Promise<void> {
  const past = `${name}_past`;
  await sql`alter table ${sql.table(name)} rename to ${sql.ref(past)}`.execute(db);
  for (const suffix of Object.keys(constraints)) {
    await sql`
      alter table ${sql.table(past)}
      rename constraint ${sql.ref(`${name}_${suffix}`)} to ${sql.ref(`${past}_${suffix}`)}`.execute(db);
  }
  await sql`
    alter index ${sql.ref(`${name}_${index.suffix}`)} rename to ${sql.ref(`${past}_${index.suffix}`)}`.execute(
    db,
  );
}

async function createDivided(db: Kysely<unknown>, table: Divided): Promise<void> {
  const { name, index } = table;
  const own = Object.entries(table.constraints).flatMap(([suffix, definition]) =>
    definition === null ? [] : [sql`, constraint ${sql.ref(`${name}_${suffix}`)} ${sql.raw(definition)}`],
  );
  await sql`
    create table ${sql.table(name)}
      (like ${sql.table(`${name}_past`)} including defaults including constraints${sql.join(own, sql``)})
      partition by range (${sql.ref(table.key)})`.execute(db);
  await dropPromise(db, name, name);
  await sql`
    create index ${sql.ref(`${name}_${index.suffix}`)} on ${sql.table(name)} ${sql.raw(index.definition)}`.execute(
    db,
  );
  if (!table.isAppendOnly) return;
  await sql`
    create trigger ${sql.ref(`${name}_append_only`)} before update or delete or truncate on ${sql.table(name)}
      for each statement execute function refuse_rewrite()`.execute(db);
  // By the row, it is handed down to every partition, also to one that somebody makes by hand.
  await sql`
    create trigger ${sql.ref(`${name}_append_only_rows`)} before update or delete on ${sql.table(name)}
      for each row execute function refuse_rewrite()`.execute(db);
}

/** Who might use the old table may use the new one; its partitions ask for nothing of their own. */
async function copyPrivileges(db: Kysely<unknown>, name: string): Promise<void> {
  await sql`
    do $$
    declare given record; old regclass := ${sql.lit(`${name}_past`)}::regclass;
    begin
      execute format('alter table ${sql.ref(name)} owner to %s', (select relowner::regrole from pg_class where oid = old));
      for given in select a.privilege_type as what, case when a.is_grantable then 'with grant option' else '' end as how,
          case a.grantee when 0 then 'public' else a.grantee::regrole::text end as whom
        from pg_class c cross join aclexplode(c.relacl) a where c.oid = old and a.grantee <> c.relowner
      loop
        execute format('grant %s on ${sql.ref(name)} to %s %s', given.what, given.whom, given.how);
      end loop;
    end $$`.execute(db);
}

async function attachPast(db: Kysely<unknown>, { name, key }: Divided, bound: string): Promise<void> {
  const past = sql.table(`${name}_past`);
  await sql`alter table ${past} disable trigger user`.execute(db);
  await sql`
    with strays as (delete from ${past} where ${sql.ref(key)} >= ${bound} returning *)
    insert into ${sql.table(`${name}_default`)} select * from strays`.execute(db);
  await sql`alter table ${past} enable trigger user`.execute(db);
  await sql`
    alter table ${sql.table(name)} attach partition ${past} for values from (minvalue) to (${sql.lit(bound)})`.execute(
    db,
  );
  // The partition's own bound says as much.
  await dropPromise(db, name, `${name}_past`);
}
