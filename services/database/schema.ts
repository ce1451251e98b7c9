import type { ColumnType, Generated } from 'kysely';

type Timestamp = ColumnType<Date, Date | string, Date | string>;
type CreatedAt = ColumnType<Date, Date | undefined, never>;
type Json<T> = ColumnType<T, string, string>;

export type FailureClass = 'transient' | 'permanent' | 'poison' | 'unknown';
export type GiftState =
  | 'held'
  | 'scheduled'
  | 'queued'
  | 'delivering'
  | 'delivered'
  | 'claimed'
  | 'failed'
  | 'rejected'
  | 'cancelled'
  | 'expired';
export type VoucherState = 'active' | 'partially_redeemed' | 'exhausted' | 'frozen' | 'expired' | 'cancelled';
export type DeliveryState =
  | 'pending'
  | 'sending'
  | 'sent'
  | 'deferred'
  | 'delivered'
  | 'bounced'
  | 'complained'
  | 'suppressed'
  | 'failed';
export type DeliveryPurpose = 'gift' | 'resend' | 'reminder';
export type AttemptOutcome = 'started' | 'sent' | 'retry' | 'dead_letter' | 'interrupted' | 'superseded';
export type Channel = 'email' | 'wallet';
export type Binding = 'bearer' | 'email_otp' | 'wallet_signature';
export type Role = 'sender' | 'reviewer' | 'merchant' | 'operator' | 'auditor' | 'admin';
export type TransferKind = 'topup' | 'reserve' | 'commit' | 'release' | 'return';
export type LedgerAccountKind = 'world' | 'available' | 'reserved' | 'outstanding';
export type ActorKind = 'api_key' | 'recipient' | 'consumer' | 'reconciler' | 'schedule' | 'admin';
export type Verdict = 'redrive' | 'quarantine' | 'discard' | 'wait';

export type SendersTable = {
  id: string;
  name: string;
  kind: Generated<'person' | 'system'>;
  status: Generated<'active' | 'suspended'>;
  created_at: CreatedAt;
};

export type ApiKeysTable = {
  id: string;
  sender_id: string;
  name: string;
  prefix: string;
  secret_hash: Buffer;
  roles: Role[];
  scopes: string[] | null;
  expires_at: Timestamp | null;
  revoked_at: Timestamp | null;
  created_at: CreatedAt;
};

export type FundingAccountsTable = { id: string; sender_id: string; currency: string; created_at: CreatedAt };

export type LedgerAccountsTable = {
  id: string;
  kind: LedgerAccountKind;
  funding_account_id: string | null;
  currency: string;
  balance_minor: number | null;
  created_at: CreatedAt;
};

export type TopupsTable = {
  id: string;
  funding_account_id: string;
  currency: string;
  kind: 'manual' | 'stripe' | 'onchain';
  state: 'created' | 'credited' | 'rejected' | 'reversed';
  amount_minor: number;
  reference: string | null;
  created_at: CreatedAt;
};

export type LedgerTransfersTable = {
  id: string;
  kind: TransferKind;
  gift_id: string | null;
  topup_id: string | null;
  created_at: CreatedAt;
};

export type LedgerEntriesTable = {
  transfer_id: string;
  account_id: string;
  currency: string;
  amount_minor: number;
};

export type RecipientsTable = {
  id: string;
  kind: Channel;
  blind_index: Buffer;
  masked: string;
  sealed: Buffer;
  wrapped_key: Buffer | null;
  keyring_key_id: string;
  created_at: CreatedAt;
};

export type GiftsTable = {
  id: string;
  sender_id: string;
  funding_account_id: string;
  recipient_id: string;
  channel: Channel;
  state: GiftState;
  amount_minor: number;
  currency: string;
  binding: Binding;
  claim_version: Generated<number>;
  deliver_at: Timestamp | null;
  expires_at: Timestamp | null;
  external_id: string | null;
  metadata: Json<Record<string, string>>;
  request_id: string | null;
  lease_until: Timestamp | null;
  dead_lettered_at: Timestamp | null;
  failure_class: FailureClass | null;
  failure_code: string | null;
  reminded_at: Timestamp | null;
  created_at: Timestamp;
  state_changed_at: Timestamp;
};

export type VouchersTable = {
  id: string;
  gift_id: string;
  state: Generated<VoucherState>;
  amount_minor: number;
  balance_minor: number;
  currency: string;
  code_salt: Buffer;
  code_hash: Buffer;
  created_at: CreatedAt;
};

export type ClaimsTable = {
  id: string;
  gift_id: string;
  voucher_id: string;
  binding: Binding;
  idempotency_key: string;
  created_at: CreatedAt;
};

export type DeliveriesTable = {
  id: string;
  gift_id: string;
  purpose: DeliveryPurpose;
  channel: Channel;
  state: DeliveryState;
  attempts: Generated<number>;
  attempts_forgiven: Generated<number>;
  lease_until: Timestamp | null;
  dead_lettered_at: Timestamp | null;
  created_at: CreatedAt;
  state_changed_at: Timestamp;
};

export type DeliveryAttemptsTable = {
  id: string;
  delivery_id: string;
  number: number;
  outcome: Generated<AttemptOutcome>;
  class: FailureClass | null;
  code: string | null;
  reason: string | null;
  message_id: string | null;
  receive_count: number | null;
  started_at: Timestamp;
  finished_at: Timestamp | null;
  next_attempt_at: Timestamp | null;
};

export type OutboxTable = {
  id: ColumnType<string, never, never>;
  queue: string;
  body: string;
  group_id: string | null;
  trace_header: string | null;
  created_at: CreatedAt;
  available_at: Timestamp;
  parked_reason: string | null;
};

export type IdempotencyKeysTable = {
  scope_id: string;
  key: string;
  fingerprint: Buffer;
  status: number;
  body: Json<unknown>;
  location: string | null;
  created_at: CreatedAt;
};

export type AuditRecordsTable = {
  id: string;
  action: string;
  actor_kind: ActorKind;
  actor_id: string | null;
  subject_kind: string;
  subject_id: string;
  request_id: string | null;
  data: Json<Record<string, unknown>>;
  created_at: Timestamp;
};

export type DeadLettersTable = {
  id: string;
  queue: string;
  message_id: string;
  message_key: string;
  gift_id: string | null;
  class: FailureClass;
  reason: string;
  receive_count: number;
  sent_at: Timestamp;
  verdict: Verdict;
  rule: string | null;
  body: string | null;
  attributes: Json<Record<string, unknown>> | null;
  run_id: string;
  first_seen_at: Timestamp;
  last_seen_at: Timestamp;
  applied_at: Timestamp | null;
  archived_at: Timestamp | null;
};

export type ReconcilerRunsTable = {
  id: string;
  queue: string;
  dry_run: boolean;
  outcome: Generated<string>;
  counts: Json<Record<string, number>>;
  started_at: Timestamp;
  finished_at: Timestamp | null;
};

export type ReconcilerLeasesTable = { queue: string; holder: string; token: number; expires_at: Timestamp };

/** Every table as Kysely sees it. Amounts are integer minor units; int8 columns arrive as safe JavaScript numbers. */
export type Database = {
  senders: SendersTable;
  api_keys: ApiKeysTable;
  funding_accounts: FundingAccountsTable;
  ledger_accounts: LedgerAccountsTable;
  topups: TopupsTable;
  ledger_transfers: LedgerTransfersTable;
  ledger_entries: LedgerEntriesTable;
  recipients: RecipientsTable;
  gifts: GiftsTable;
  vouchers: VouchersTable;
  claims: ClaimsTable;
  deliveries: DeliveriesTable;
  delivery_attempts: DeliveryAttemptsTable;
  outbox: OutboxTable;
  idempotency_keys: IdempotencyKeysTable;
  audit_records: AuditRecordsTable;
  dead_letters: DeadLettersTable;
  reconciler_runs: ReconcilerRunsTable;
  reconciler_leases: ReconcilerLeasesTable;
};
