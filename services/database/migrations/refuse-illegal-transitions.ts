import { type Kysely, sql } from 'kysely';

/** Lets the `state` of a table's rows change by these steps only: `<table>_transition_legal` refuses all others. */
export async function refuseIllegalTransitions(
  db: Kysely<unknown>,
  table: string,
  transitions: string[][],
): Promise<void> {
  const name = sql.ref(`${table}_transition_legal`);
  const legal = sql.lit(`{${transitions.map((pair) => pair.join('>')).join(',')}}`);
  await sql`
    create function ${name}() returns trigger language plpgsql as $$
    begin
      if not (old.state || '>' || new.state = any (${legal}::text[])) then
        raise exception '% % can not go from % to %', tg_table_name, new.id, old.state, new.state
          using errcode = 'check_violation', constraint = tg_table_name || '_transition_legal', table = tg_table_name;
      end if;
      return null;
    end $$`.execute(db);
  await sql`
    create constraint trigger ${name} after update of state on ${sql.table(table)}
      for each row when (old.state is distinct from new.state) execute function ${name}()`.execute(db);
}
