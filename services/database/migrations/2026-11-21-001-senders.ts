import { type Kysely, sql } from 'kysely';

/** Senders and the API keys they hold. A key's secret is stored as a keyed hash only. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table senders (
      id uuid primary key,
      name text not null constraint senders_name_length check (char_length(name) between 1 and 200),
      kind text not null default 'system' constraint senders_kind_known check (kind in ('person', 'system')),
      status text not null default 'active' constraint senders_status_known check (status in ('active', 'suspended')),
      created_at timestamptz not null default now()
    )`.execute(db);

  await sql`
    create table api_keys (
      id uuid primary key,
      sender_id uuid not null references senders,
      name text not null constraint api_keys_name_length check (char_length(name) between 1 and 200),
      prefix text not null constraint api_keys_prefix_unique unique,
      secret_hash bytea not null constraint api_keys_secret_hash_unique unique,
      roles text[] not null constraint api_keys_roles_known check (
        cardinality(roles) > 0
        and roles <@ array['sender', 'reviewer', 'merchant', 'operator', 'auditor', 'admin']),
      scopes text[] constraint api_keys_scopes_not_empty check (cardinality(scopes) > 0),
      expires_at timestamptz,
      revoked_at timestamptz,
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`create index api_keys_by_sender on api_keys (sender_id)`.execute(db);
}
