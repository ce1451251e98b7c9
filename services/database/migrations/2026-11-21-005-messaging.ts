import { type Kysely, sql } from 'kysely';

/** What is written in the same transaction as the change it describes: outbox, idempotency key, audit record. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // Rows are deleted once sent. available_at is a lease: the process that wrote the row publishes it at once, and
  // any process may take it when that time has passed, so no order of ids or commits matters.
  await sql`
    create table outbox (
      id bigint generated always as identity primary key,
      queue text not null,
      body text not null,
      group_id text,
      trace_header text,
      created_at timestamptz not null default now(),
      available_at timestamptz not null,
      parked_reason text
    )`.execute(db);
  await sql`create index outbox_available on outbox (available_at) where parked_reason is null`.execute(db);

  // The answer is json and not jsonb, which would forget the order of its keys: a replay has the same bytes.
  await sql`
    create table idempotency_keys (
      scope_id uuid not null,
      key text not null constraint idempotency_keys_key_length check (char_length(key) between 1 and 255),
      fingerprint bytea not null,
      status integer not null,
      body json not null,
      location text,
      created_at timestamptz not null default now(),
      primary key (scope_id, key)
    )`.execute(db);
  await sql`create index idempotency_keys_by_age on idempotency_keys (created_at)`.execute(db);

  await sql`
    create table audit_records (
      id uuid primary key,
      action text not null,
      actor_kind text not null constraint audit_records_actor_kind_known
        check (actor_kind in ('api_key', 'recipient', 'consumer', 'reconciler', 'schedule', 'admin')),
      actor_id uuid,
      subject_kind text not null,
      subject_id uuid not null,
      request_id text,
      data jsonb not null default '{}',
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`create index audit_records_by_subject on audit_records (subject_id, created_at, id)`.execute(db);
  await sql`
    create trigger audit_records_append_only before update or delete or truncate on audit_records
      for each statement execute function refuse_rewrite()`.execute(db);

  // Unlogged: budgets may restart at zero after a crash, and no accept should wait for their write-ahead log.
  await sql`
    create unlogged table rate_limits (
      key varchar(255) primary key,
      points integer not null default 0,
      expire bigint
    ) with (fillfactor = 50)`.execute(db);
  await sql`create index rate_limits_by_end on rate_limits (expire)`.execute(db);
}
