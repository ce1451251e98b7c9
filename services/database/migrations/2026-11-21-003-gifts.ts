import { type Kysely, sql } from 'kysely';
import { refuseIllegalTransitions } from './refuse-illegal-transitions.ts';

/** Recipients (sealed), gifts, vouchers and claims, with the state machines that the schema enforces. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createRecipients(db);
  await createGifts(db);
  await indexGifts(db);
  await createVouchers(db);
  await createClaims(db);
  await refuseIllegalTransitions(db, 'gifts', giftTransitions);
  await refuseIllegalTransitions(db, 'vouchers', voucherTransitions);
}

const giftTransitions = [
  ['held', 'queued'],
  ['held', 'scheduled'],
  ['held', 'rejected'],
  ['held', 'cancelled'],
  ['held', 'expired'],
  ['scheduled', 'queued'],
  ['scheduled', 'cancelled'],
  ['scheduled', 'expired'],
  ['queued', 'delivering'],
  ['queued', 'failed'],
  ['queued', 'cancelled'],
  ['queued', 'expired'],
  ['delivering', 'queued'],
  ['delivering', 'delivered'],
  ['delivering', 'failed'],
  ['delivering', 'cancelled'],
  ['delivered', 'claimed'],
  ['delivered', 'cancelled'],
  ['delivered', 'expired'],
];

const voucherTransitions = [
  ['active', 'partially_redeemed'],
  ['active', 'exhausted'],
  ['active', 'frozen'],
  ['active', 'expired'],
  ['active', 'cancelled'],
  ['partially_redeemed', 'active'],
  ['partially_redeemed', 'exhausted'],
  ['partially_redeemed', 'frozen'],
  ['partially_redeemed', 'expired'],
  ['exhausted', 'partially_redeemed'],
  ['exhausted', 'active'],
  ['frozen', 'active'],
  ['frozen', 'partially_redeemed'],
  ['frozen', 'expired'],
  ['frozen', 'cancelled'],
];

/** One row per gift: the erasure of a person destroys the data keys of all rows with that person's blind index. */
async function createRecipients(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table recipients (
      id uuid primary key,
      kind text not null constraint recipients_kind_known check (kind in ('email', 'wallet')),
      blind_index bytea not null constraint recipients_blind_index_length check (octet_length(blind_index) = 32),
      masked text not null,
      sealed bytea not null,
      wrapped_key bytea,
      keyring_key_id text not null,
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`create index recipients_by_blind_index on recipients (blind_index, created_at desc)`.execute(db);
}

async function createGifts(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table gifts (
      id uuid primary key,
      sender_id uuid not null references senders,
      funding_account_id uuid not null,
      recipient_id uuid not null constraint gifts_recipient_unique unique references recipients,
      channel text not null constraint gifts_channel_known check (channel in ('email', 'wallet')),
      state text not null constraint gifts_state_known check (state in ('held', 'scheduled', 'queued', 'delivering',
        'delivered', 'claimed', 'failed', 'rejected', 'cancelled', 'expired')),
      amount_minor bigint not null constraint gifts_amount_positive check (amount_minor > 0),
      currency char(3) not null,
      binding text not null constraint gifts_binding_known check (binding in ('bearer', 'email_otp', 'wallet_signature')),
      claim_version integer not null default 1 constraint gifts_claim_version_positive check (claim_version > 0),
      deliver_at timestamptz,
      expires_at timestamptz,
      external_id text constraint gifts_external_id_length check (char_length(external_id) between 1 and 255),
      metadata jsonb not null default '{}' constraint gifts_metadata_object check (jsonb_typeof(metadata) = 'object'),
      request_id text,
      lease_until timestamptz constraint gifts_lease_only_delivering check (lease_until is null or state = 'delivering'),
      dead_lettered_at timestamptz,
      failure_class text constraint gifts_failure_class_known
        check (failure_class in ('transient', 'permanent', 'poison', 'unknown')),
      failure_code text,
      reminded_at timestamptz,
      created_at timestamptz not null default now(),
      state_changed_at timestamptz not null default now(),
      constraint gifts_external_id_unique unique (sender_id, external_id),
      constraint gifts_scheduled_has_time check (state <> 'scheduled' or deliver_at is not null),
      constraint gifts_funding foreign key (funding_account_id, currency) references funding_accounts (id, currency)
    ) with (fillfactor = 85)`.execute(db);
}

/** Partial indexes hold only the gifts that are on their way, so each sweep stays flat as ended gifts pile up. */
async function indexGifts(db: Kysely<unknown>): Promise<void> {
  await sql`create index gifts_by_sender on gifts (sender_id, id)`.execute(db);
  await sql`create index gifts_scheduled on gifts (deliver_at) where state = 'scheduled'`.execute(db);
  await sql`
    create index gifts_under_way on gifts (state_changed_at) where state in ('queued', 'delivering')`.execute(
    db,
  );
  await sql`
    create index gifts_dead_lettered on gifts (dead_lettered_at)
      where dead_lettered_at is not null and state in ('queued', 'delivering')`.execute(db);
  await sql`
    create index gifts_expiring on gifts (expires_at)
      where expires_at is not null and state in ('held', 'scheduled', 'queued', 'delivering', 'delivered')`.execute(
    db,
  );
  await sql`
    create index gifts_to_remind on gifts (expires_at)
      where expires_at is not null and state = 'delivered' and reminded_at is null`.execute(db);
}

/** The code is derived from the salt under a key that is not in the database; only its keyed hash is stored. */
async function createVouchers(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table vouchers (
      id uuid primary key,
      gift_id uuid not null constraint vouchers_one_per_gift unique references gifts,
      state text not null default 'active' constraint vouchers_state_known
        check (state in ('active', 'partially_redeemed', 'exhausted', 'frozen', 'expired', 'cancelled')),
      amount_minor bigint not null constraint vouchers_amount_positive check (amount_minor > 0),
      balance_minor bigint not null,
      currency char(3) not null,
      code_salt bytea not null constraint vouchers_code_salt_length check (octet_length(code_salt) = 16),
      code_hash bytea not null constraint vouchers_code_hash_unique unique,
      created_at timestamptz not null default now(),
      constraint vouchers_balance_within_amount check (balance_minor between 0 and amount_minor)
    )`.execute(db);
}

async function createClaims(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table claims (
      id uuid primary key,
      gift_id uuid not null constraint claims_one_per_gift unique references gifts,
      voucher_id uuid not null references vouchers,
      binding text not null,
      idempotency_key text not null constraint claims_idempotency_key_length check (char_length(idempotency_key) <= 255),
      created_at timestamptz not null default now()
    )`.execute(db);
}
