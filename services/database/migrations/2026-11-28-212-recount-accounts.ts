import { type Kysely, sql } from 'kysely';

/**
 * The invariants were read over all accounts there are: as often as anybody looked, at a hundred thousand senders for more than a
 * second. An account that moves is looked at while its period is open and as it is closed, and each once more in a round, as
 * periods and gifts are. What all accounts of a currency sum up to is kept, by triggers: both releases close periods.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table ledger_closing
      add column recount_account uuid not null default '00000000-0000-0000-0000-000000000000',
      add column accounts_recounted_at timestamptz`.execute(db);
  await sql`create table ledger_currency_totals (currency char(3) primary key, total_minor bigint not null)`.execute(
    db,
  );
  await sql`
    insert into ledger_currency_totals (currency, total_minor)
    select a.currency, sum(t.total_minor) from ledger_account_totals t join ledger_accounts a on a.id = t.account_id
    group by a.currency`.execute(db);
  await keepCurrencyTotals(db, 'insert', sql`new_totals`, sql`referencing new table as new_totals`);
  await keepCurrencyTotals(
    db,
    'update',
    sql`(select account_id, total_minor from new_totals
      union all select account_id, -total_minor from old_totals)`,
    sql`referencing old table as old_totals new table as new_totals`,
  );
}

export const holds = ['ledger_closing'];
export const holdsWrites = ['ledger_account_totals'];

/** A sound period changes nothing here: nobody waits for these few rows. */
async function keepCurrencyTotals(
  db: Kysely<unknown>,
  event: 'insert' | 'update',
  changes: ReturnType<typeof sql>,
  referencing: ReturnType<typeof sql>,
): Promise<void> {
  const name = sql.ref(`ledger_account_totals_${event}_currencies`);
  await sql`
    create function ${name}() returns trigger language plpgsql as $$
    begin
      insert into ledger_currency_totals as known (currency, total_minor)
      select a.currency, sum(change.total_minor)
      from ${changes} change
      cross join lateral (select currency from ledger_accounts where id = change.account_id offset 0) a
      group by a.currency having sum(change.total_minor) <> 0 order by a.currency
      on conflict (currency) do update set total_minor = known.total_minor + excluded.total_minor;
      return null;
    end $$`.execute(db);
  await sql`
    create trigger ${name} after ${sql.raw(event)} on ledger_account_totals ${referencing}
      for each statement execute function ${name}()`.execute(db);
}
