import type { Generated } from 'kysely';
import type { CreatedAt, Json, Timestamp } from './columns.ts';
import type {
  AuditRecordsTable,
  DeadLettersTable,
  IdempotencyKeysTable,
  OutboxTable,
  QueuePausesTable,
  ReconcilerLeasesTable,
  ReconcilerRunsTable,
  RedriveTotalsTable,
} from './messaging-tables.ts';
import type {
  AttemptOutcome,
  Binding,
  Channel,
  DeliveryPurpose,
  DeliveryState,
  FailureClass,
  GiftState,
  LedgerAccountKind,
  Role,
  TopupState,
  TransferKind,
  TransferSubjectKind,
  VoucherState,
} from './states.ts';

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
  lookup_version: Generated<number>;
  roles: Role[];
  scopes: string[] | null;
  expires_at: Timestamp | null;
  revoked_at: Timestamp | null;
  created_at: CreatedAt;
};

/** The keys of the keyring that this database was used with, as far as they are to be known again. */
export type KeyringKeysTable = {
  use: 'wrapping' | 'lookup';
  name: string;
  check_value: Buffer;
  created_at: CreatedAt;
};

export type FundingAccountsTable = { id: string; sender_id: string; currency: string; created_at: CreatedAt };

export type LedgerAccountsTable = {
  id: string;
  kind: LedgerAccountKind;
  funding_account_id: string | null;
  currency: string;
  /** not null: the account keeps a balance, which `ledger_account_balances` tells; this one may be seconds behind */
  balance_minor: number | null;
  created_at: CreatedAt;
};

/** A view: the balance of each account that keeps one. */
export type LedgerAccountBalancesView = {
  id: string;
  kind: LedgerAccountKind;
  funding_account_id: string;
  currency: string;
  balance_minor: number;
};

export type TopupsTable = {
  id: string;
  funding_account_id: string;
  currency: string;
  kind: 'manual' | 'stripe' | 'onchain';
  state: TopupState;
  amount_minor: number;
  reference: string | null;
  created_at: CreatedAt;
};

export type LedgerTransfersTable = {
  id: string;
  kind: TransferKind;
  /** the subject, where it is a gift or a top-up */
  gift_id: string | null;
  topup_id: string | null;
  /** the subject, where it is anything else */
  subject_kind: Generated<Exclude<TransferSubjectKind, 'gift' | 'topup'> | null>;
  subject_id: Generated<string | null>;
  /** what caused it, where a subject may have several of its kind */
  cause_id: Generated<string | null>;
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
  /** since when the mail of the attempt under way may be out; null before its content is given to a mail server */
  maybe_out_since: Timestamp | null;
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

/** Every table as Kysely sees it. Amounts are integer minor units; int8 columns arrive as safe JavaScript numbers. */
export type Database = {
  senders: SendersTable;
  api_keys: ApiKeysTable;
  funding_accounts: FundingAccountsTable;
  ledger_accounts: LedgerAccountsTable;
  ledger_account_balances: LedgerAccountBalancesView;
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
  queue_pauses: QueuePausesTable;
  keyring_keys: KeyringKeysTable;
  idempotency_keys: IdempotencyKeysTable;
  audit_records: AuditRecordsTable;
  dead_letters: DeadLettersTable;
  reconciler_runs: ReconcilerRunsTable;
  redrive_totals: RedriveTotalsTable;
  reconciler_leases: ReconcilerLeasesTable;
};
