import { type Kysely, sql } from 'kysely';

/** The tables that a migration needs for itself while it runs. What it does not name is read and written meanwhile. */
export type Holds = {
  /** nobody reads or writes these: it alters them */
  holds?: readonly string[];
  /** these are read but not written: it gives them an index or a trigger, refers to them, or changes rows */
  holdsWrites?: readonly string[];
};

/**
 * Holds these tables for the rest of a migration's transaction. Taken one by one as the migration comes to them, in another
 * order than the statements of the processes that serve meanwhile, they ended in a deadlock with each try under load, and no
 * upgrade came through. What is held by somebody who waits for us is given back before the server takes it for a
 * deadlock (a second), and all are tried again, in another order: which one is that of whoever is at work just then, nobody knows.
 * Whoever wants a table meanwhile waits behind us for one such try at most, also where one table can't be had for minutes.
 *
 * EXCLUSIVE for writes, not less: it also keeps out who locks rows, and would then wait for us to write them.
 *
 * @throws the database's 55P03 after some minutes: somebody holds a table all the time
 */
export async function holdTables(
  db: Kysely<unknown>,
  { holds = [], holdsWrites = [] }: Holds,
): Promise<void> {
  if (holds.length + holdsWrites.length === 0) return;
  const locks = [
    ...holds.map((table) => ({ table, mode: 'access exclusive' })),
    ...holdsWrites.map((table) => ({ table, mode: 'exclusive' })),
  ];
  await sql`
    do $$
    declare wanted record;
    begin
      for try in 1 .. 500 loop
        begin
          perform set_config('lock_timeout', '300ms', true);
          for wanted in select * from json_to_recordset(${sql.lit(JSON.stringify(locks))}) as t ("table" text, mode text)
            order by "table" <> 'gifts' and try % 2 = 1, random()
          loop
            execute format('lock table %I in %s mode', wanted.table, wanted.mode);
          end loop;
          perform set_config('lock_timeout', '0', true);
          return;
        exception when lock_not_available or deadlock_detected then
          perform pg_sleep(0.05 + 0.2 * random());
        end;
      end loop;
      raise exception 'the tables could not be had together: somebody holds one of them all the time'
        using errcode = 'lock_not_available', hint = 'look for transactions that are open for long in pg_stat_activity';
    end $$`.execute(db);
}
