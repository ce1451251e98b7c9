import { type Kysely, sql } from 'kysely';

export const holds = ['audit_records', 'delivery_attempts'];

const divided = [
  { table: 'delivery_attempts', key: 'delivery_id' },
  { table: 'audit_records', key: 'id' },
];

/**
 * Attempts and audit records come to be kept by the month. The table of before will be the partition of the past, without being
 * copied, and without being read again while it is held: that no id of it is later than the past is promised here, asked
 * in the next step, and used in the one after it. Until then ids of more than two months ahead are refused.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const { table, key } of divided) {
    await sql`
      do $$
      begin
        execute format('alter table ${sql.ref(table)} add constraint ${sql.ref(`${table}_before`)}
          check (${sql.ref(key)} < %L) not valid',
          uuid_floor((date_trunc('month', now() at time zone 'UTC') + interval '3 months') at time zone 'UTC'));
      end $$`.execute(db);
  }
}
