import { type Kysely, sql } from 'kysely';

/**
 * Holds all tables for the rest of a migration's transaction. Taken one by one as the migrations come to them, in another
 * order than the statements of the processes that serve meanwhile, they ended in a deadlock with each try under load, and no
 * upgrade came through. What is held by somebody who waits for us is given back before the server takes it for a
 * deadlock (a second), and all are tried again, in another order: which one is that of whoever is at work just then, nobody knows.
 *
 * @throws the database's 55P03 after some minutes: somebody holds a table all the time
 */
export async function holdTables(db: Kysely<unknown>): Promise<void> {
  await sql`
    do $$
    declare held record;
    begin
      for try in 1 .. 500 loop
        begin
          perform set_config('lock_timeout', '300ms', true);
          for held in select oid::regclass as name from pg_class
            where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p') and relname !~ '^kysely_'
            order by relname <> 'gifts' and try % 2 = 1, random()
          loop
            execute format('lock table %s in access exclusive mode', held.name);
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
