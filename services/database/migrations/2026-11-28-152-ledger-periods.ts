import { type Kysely, sql } from 'kysely';

/**
 * The ledger is checked in closed periods: what is older than every running transaction is added up once, and recounted in
 * the background. Rows of before have no posted_at and count by created_at; the previous release's get theirs by default.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  // In two steps: a default that is given with the column would be evaluated for each row that is there, and rewrite all.
  await sql`alter table ledger_transfers add column posted_at timestamptz`.execute(db);
  await sql`alter table ledger_transfers alter column posted_at set default clock_timestamp()`.execute(db);
  await sql`create index ledger_transfers_by_time on ledger_transfers ((coalesce(posted_at, created_at)))`.execute(
    db,
  );
  await createPeriods(db);
  await createRedriveTotals(db);
}

async function createPeriods(db: Kysely<unknown>): Promise<void> {
  // One row. Everything posted until closed_until is in a period. The mark is a moment whose transactions may still run:
  // when the oldest that does is younger, everything of before it has been decided.
  await sql`
    create table ledger_closing (
      single boolean primary key default true constraint ledger_closing_one_row check (single),
      closed_until timestamptz not null default '-infinity',
      mark_at timestamptz,
      mark_xid xid8,
      recount_period bigint not null default 0,
      periods_recounted_at timestamptz,
      recount_gift uuid not null default '00000000-0000-0000-0000-000000000000',
      gifts_recounted_at timestamptz
    )`.execute(db);
  await sql`insert into ledger_closing default values`.execute(db);
  await sql`
    create table ledger_periods (
      id bigint generated always as identity primary key,
      after_at timestamptz not null,
      until_at timestamptz not null,
      transfers integer not null,
      entries integer not null,
      digest numeric not null,
      sums jsonb not null,
      closed_at timestamptz not null default clock_timestamp()
    )`.execute(db);
  await sql`
    create table ledger_account_totals (account_id uuid primary key, total_minor bigint not null) with (fillfactor = 50)`.execute(
    db,
  );
  await sql`
    create table ledger_findings (
      invariant text not null,
      subject_id text not null,
      broken bigint not null,
      found_at timestamptz not null default clock_timestamp(),
      primary key (invariant, subject_id)
    )`.execute(db);
}

/** How often was redriven, counted as it happens: each scrape counted all dead letters. By a trigger, as both releases redrive. */
async function createRedriveTotals(db: Kysely<unknown>): Promise<void> {
  await sql`create table redrive_totals (queue text primary key, redriven bigint not null)`.execute(db);
  await sql`lock table dead_letters in share row exclusive mode`.execute(db);
  await sql`
    insert into redrive_totals (queue, redriven) select queue, count(*) from dead_letters
    where verdict = 'redrive' and applied_at is not null group by queue`.execute(db);
  await sql`
    create function dead_letters_count_redrives() returns trigger language plpgsql as $$
    begin
      insert into redrive_totals as known (queue, redriven)
      select now.queue, count(*) from new_letters now join old_letters before using (id)
      where now.verdict = 'redrive' and now.applied_at is not null and before.applied_at is null
      group by now.queue order by now.queue
      on conflict (queue) do update set redriven = known.redriven + excluded.redriven;
      return null;
    end $$`.execute(db);
  await sql`
    create trigger dead_letters_count_redrives after update on dead_letters
      referencing old table as old_letters new table as new_letters
      for each statement execute function dead_letters_count_redrives()`.execute(db);
}
