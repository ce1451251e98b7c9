import { type Kysely, sql } from 'kysely';

/** What the reconciler saw and decided: one row per message seen in a dead-letter queue. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // A redriven message that dies again is a new SQS message, hence a new row: how often a message_key was redriven
  // is counted over these rows and never taken from SQS's own receive count.
  await sql`
    create table dead_letters (
      id uuid primary key,
      queue text not null,
      message_id text not null,
      message_key text not null,
      gift_id uuid,
      class text not null constraint dead_letters_class_known
        check (class in ('transient', 'permanent', 'poison', 'unknown')),
      reason text not null,
      receive_count integer not null,
      sent_at timestamptz not null,
      verdict text not null constraint dead_letters_verdict_known
        check (verdict in ('redrive', 'quarantine', 'discard', 'wait')),
      rule text,
      body text,
      attributes jsonb,
      run_id uuid not null,
      first_seen_at timestamptz not null default now(),
      last_seen_at timestamptz not null default now(),
      applied_at timestamptz,
      archived_at timestamptz,
      constraint dead_letters_message_unique unique (queue, message_id),
      constraint dead_letters_quarantine_keeps_body check (verdict <> 'quarantine' or body is not null)
    )`.execute(db);
  await sql`create index dead_letters_by_queue on dead_letters (queue, id)`.execute(db);
  await sql`create index dead_letters_by_key on dead_letters (queue, message_key) where verdict = 'redrive'`.execute(
    db,
  );
  await sql`create index dead_letters_by_gift on dead_letters (gift_id) where gift_id is not null`.execute(
    db,
  );
  await sql`
    create index dead_letters_redriven on dead_letters (queue, applied_at)
      where verdict = 'redrive' and applied_at is not null`.execute(db);

  await sql`
    create table reconciler_runs (
      id uuid primary key,
      queue text not null,
      dry_run boolean not null,
      outcome text not null default 'running',
      counts jsonb not null default '{}',
      started_at timestamptz not null default now(),
      finished_at timestamptz
    )`.execute(db);
  await sql`create index reconciler_runs_by_queue on reconciler_runs (queue, started_at desc)`.execute(db);

  // A lease in a row, not a session lock: it works behind a transaction-pooling proxy and ends by itself when its
  // holder dies. The token grows with every new holder, so that a paused one can tell that it has lost it.
  await sql`
    create table reconciler_leases (
      queue text primary key,
      holder uuid not null,
      token bigint not null,
      expires_at timestamptz not null
    )`.execute(db);
}
