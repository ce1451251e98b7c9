import { type Kysely, sql } from 'kysely';

/**
 * The lookup key of the keyring has versions. An API key says under which one its secret is hashed; a voucher's salt ends
 * in the version (two bytes) from the second on. Rows of before, and those of a process of before, are of version 1.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table api_keys add column lookup_version smallint not null default 1
      constraint api_keys_lookup_version_known check (lookup_version between 1 and 1023)`.execute(db);
  await sql`
    alter table vouchers
      drop constraint vouchers_code_salt_length,
      add constraint vouchers_code_salt_length check (octet_length(code_salt) in (16, 18)) not valid`.execute(
    db,
  );
  await sql`alter table vouchers validate constraint vouchers_code_salt_length`.execute(db);
}
