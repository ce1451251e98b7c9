import { type Kysely, sql } from 'kysely';
import { refuseIllegalTransitions } from './refuse-illegal-transitions.ts';

/** How a gift reached its recipient: a delivery per purpose, an attempt per try. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createDeliveries(db);
  await createAttempts(db);
  await refuseIllegalTransitions(db, 'deliveries', deliveryTransitions);
}

const deliveryTransitions = [
  ['pending', 'sending'],
  ['pending', 'suppressed'],
  ['pending', 'failed'],
  ['sending', 'pending'],
  ['sending', 'sent'],
  ['sending', 'deferred'],
  ['sending', 'suppressed'],
  ['sending', 'failed'],
  ['deferred', 'pending'],
  ['deferred', 'sending'],
  ['deferred', 'suppressed'],
  ['deferred', 'failed'],
  ['sent', 'delivered'],
  ['sent', 'bounced'],
  ['sent', 'complained'],
  ['delivered', 'bounced'],
  ['delivered', 'complained'],
];

async function createDeliveries(db: Kysely<unknown>): Promise<void> {
  // attempts_forgiven is what attempts stood at when the reconciler last redrove the message: the retry limit
  // counts from there, while attempt numbers go on.
  await sql`
    create table deliveries (
      id uuid primary key,
      gift_id uuid not null references gifts,
      purpose text not null constraint deliveries_purpose_known check (purpose in ('gift', 'resend', 'reminder')),
      channel text not null constraint deliveries_channel_known check (channel in ('email', 'wallet')),
      state text not null constraint deliveries_state_known check (state in ('pending', 'sending', 'sent', 'deferred',
        'delivered', 'bounced', 'complained', 'suppressed', 'failed')),
      attempts integer not null default 0,
      attempts_forgiven integer not null default 0,
      lease_until timestamptz constraint deliveries_lease_only_sending check (lease_until is null or state = 'sending'),
      dead_lettered_at timestamptz,
      created_at timestamptz not null default now(),
      state_changed_at timestamptz not null default now(),
      constraint deliveries_attempts_ordered check (attempts_forgiven between 0 and attempts)
    ) with (fillfactor = 85)`.execute(db);
  await sql`
    create unique index deliveries_one_per_purpose on deliveries (gift_id, purpose)
      where purpose in ('gift', 'reminder')`.execute(db);
  await sql`create index deliveries_by_gift on deliveries (gift_id, id)`.execute(db);
  await sql`
    create index deliveries_under_way on deliveries (state_changed_at)
      where purpose <> 'gift' and state in ('pending', 'sending', 'deferred')`.execute(db);
}

async function createAttempts(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table delivery_attempts (
      id uuid primary key,
      delivery_id uuid not null references deliveries,
      number integer not null constraint delivery_attempts_number_positive check (number > 0),
      outcome text not null default 'started' constraint delivery_attempts_outcome_known
        check (outcome in ('started', 'sent', 'retry', 'dead_letter', 'interrupted', 'superseded')),
      class text constraint delivery_attempts_class_known check (class in ('transient', 'permanent', 'poison', 'unknown')),
      code text,
      reason text,
      message_id text,
      receive_count integer,
      started_at timestamptz not null default now(),
      finished_at timestamptz,
      next_attempt_at timestamptz,
      constraint delivery_attempts_number_unique unique (delivery_id, number)
    )`.execute(db);
}
