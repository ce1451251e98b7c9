import { type Kysely, sql } from 'kysely';
import type { Database } from '../../services/database/schema.ts';

const monthsBack = 36;

/** The tables that are divided, and those that are read along with them. */
const grown = ['deliveries', 'delivery_attempts', 'audit_records'] as const;

/**
 * Adds so many deliveries that have ended, each with its attempt and one audit record, evenly over the last 36 months. Their
 * gifts are left out, and triggers and foreign keys are off while they are made: neither is what is measured.
 */
export async function growMonths(db: Kysely<Database>, rows: number): Promise<void> {
  const step = 500_000;
  for (let first = 0; first < rows; first += step) {
    const last = Math.min(rows, first + step) - 1;
    await db.transaction().execute(async (trx) => {
      await sql`set local session_replication_role = replica`.execute(trx);
      await sql`set local synchronous_commit = off`.execute(trx);
      await insertMonths(trx, rows, first, last);
    });
    process.stderr.write(`  ${last + 1} rows\r`);
  }
  for (const table of grown) await sql`vacuum analyze ${sql.table(table)}`.execute(db);
}

async function insertMonths(db: Kysely<Database>, rows: number, first: number, last: number): Promise<void> {
  const at = sql`now() - interval '2 hours' - make_interval(secs => (${rows}::bigint - n) * (${monthsBack} * 30.4 * 86400 / ${rows}::bigint))`;
  // UUIDv7s: the time, and a counter below it.
  const id = (
    kind: number,
  ) => sql`(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7000800'
    || lpad(to_hex(n * 4 + ${sql.lit(kind)}), 13, '0'))::uuid`;
  const source = sql`(select n, ${at} as at from generate_series(${first}::bigint, ${last}::bigint) as n) numbered`;
  await sql`insert into deliveries (id, gift_id, purpose, channel, state, attempts, state_changed_at, created_at)
    select ${id(0)}, ${id(1)}, 'gift', 'email', 'sent', 1, at, at from ${source}`.execute(db);
  await sql`insert into delivery_attempts (id, delivery_id, number, outcome, started_at, finished_at, message_id, receive_count)
    select ${id(2)}, ${id(0)}, 1, 'sent', at, at, md5(n::text), 1 from ${source}`.execute(db);
  await sql`insert into audit_records (id, action, actor_kind, subject_kind, subject_id, request_id, data, created_at)
    select ${id(3)}, 'gift.delivered', 'consumer', 'gift', ${id(1)}, md5(n::text), '{}', at from ${source}`.execute(
    db,
  );
}

/** As if the tables had been divided for all that time: the past ends where the months begin. */
export async function divideThePast(db: Kysely<Database>): Promise<void> {
  const tables = [
    ['delivery_attempts', 'delivery_id'],
    ['audit_records', 'id'],
  ] as const;
  for (const [table, key] of tables) {
    const past = sql.table(`${table}_past`);
    await sql`alter table ${sql.table(table)} detach partition ${past}`.execute(db);
    for (let back = monthsBack + 1; back > 0; back -= 1) {
      await sql`
        select add_partition(${table}, ${table} || to_char(starts, '_YYYY_MM'), ${key}, uuid_floor(starts at time zone 'UTC'),
          uuid_floor((starts + interval '1 month') at time zone 'UTC'))
        from (select date_trunc('month', now() at time zone 'UTC') - make_interval(months => ${back}) as starts) month`.execute(
        db,
      );
    }
    const { rows } = await sql<{ bound: string }>`
      select uuid_floor(min(from_at)) as bound from month_partitions where "table" = ${table}`.execute(db);
    await sql`alter table ${sql.table(table)} attach partition ${past}
      for values from (minvalue) to (${sql.lit(rows[0]?.bound)})`.execute(db);
  }
}
