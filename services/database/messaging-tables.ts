import type { ColumnType, Generated } from 'kysely';
import type { CreatedAt, Json, Timestamp } from './columns.ts';
import type { ActorKind, FailureClass, FailureOwner, Verdict } from './states.ts';

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
  pardoned: Generated<boolean>;
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

/** Kept by a trigger on dead_letters. */
export type RedriveTotalsTable = { queue: string; redriven: number };

export type ReconcilerLeasesTable = { queue: string; holder: string; token: number; expires_at: Timestamp };

/** A consumer that has paused its queue; without `expires_at` in the future it is gone. */
export type QueuePausesTable = {
  queue: string;
  consumer: string;
  owner: FailureOwner;
  code: string;
  reason: string;
  since: Timestamp;
  next_probe_at: Timestamp;
  expires_at: Timestamp;
};
