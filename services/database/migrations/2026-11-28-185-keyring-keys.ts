import { type Kysely, sql } from 'kysely';

/** By what the keys of the keyring are known again, so that another keyring over the same data is noticed. No key is in it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table keyring_keys (
      use text not null constraint keyring_keys_use_known check (use in ('wrapping', 'lookup')),
      name text not null,
      check_value bytea not null constraint keyring_keys_check_value_length check (octet_length(check_value) = 32),
      created_at timestamptz not null default clock_timestamp(),
      primary key (use, name)
    )`.execute(db);
}
