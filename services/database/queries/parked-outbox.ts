import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';

export type ParkedOutboxRow = {
  id: string;
  queue: string;
  body: string;
  parkedReason: string;
  createdAt: Date;
};

export type ParkedSelection = {
  /** rows with these ids; all without it */
  ids?: readonly string[];
  queue?: string;
  /** rows parked for this very reason */
  reason?: string;
};

/** What waits for a person, in the order in which it was written; those after `afterId`. */
export async function findParkedOutboxRows(
  db: Kysely<Database>,
  selection: ParkedSelection & { afterId?: string; limit: number },
): Promise<ParkedOutboxRow[]> {
  const { rows } = await sql<ParkedOutboxRow>`
    select id::text as id, queue, body, parked_reason as "parkedReason", created_at as "createdAt"
    from outbox where ${isSelected(selection)} and id > ${selection.afterId ?? '0'}::bigint
    order by id limit ${selection.limit}`.execute(db);
  return rows;
}

/** Makes parked rows due at once. @returns them as they were */
export async function unparkOutboxRows(
  trx: Transaction<Database>,
  selection: ParkedSelection,
): Promise<ParkedOutboxRow[]> {
  const { rows } = await sql<ParkedOutboxRow>`
    with parked as materialized (
      select id, parked_reason from outbox where ${isSelected(selection)} order by id for update
    )
    update outbox set parked_reason = null, available_at = clock_timestamp()
    from parked where outbox.id = parked.id
    returning outbox.id::text as id, outbox.queue, outbox.body, parked.parked_reason as "parkedReason",
      outbox.created_at as "createdAt"`.execute(trx);
  return rows;
}

export type OutboxReleaseAudit = {
  audit_id: string;
  subject_kind: string;
  subject_id: string;
  row: string;
  reason: string;
};

/** That a person had parked messages sent again. */
export async function recordOutboxReleases(
  trx: Transaction<Database>,
  input: OutboxReleaseAudit[],
): Promise<void> {
  if (input.length === 0) return;
  await sql`
    insert into audit_records (id, action, actor_kind, subject_kind, subject_id, data, created_at)
    select audit_id, 'outbox.released', 'admin', subject_kind, subject_id,
      jsonb_build_object('outbox_row', "row", 'parked_for', reason), clock_timestamp()
    from json_to_recordset(${JSON.stringify(input)}::json) as released (
      audit_id uuid, subject_kind text, subject_id uuid, "row" text, reason text)`.execute(trx);
}

/**
 * Makes due again what was parked in these queues for any other reason than those: a former release parked what it did
 * not know, and what SQS refused for reasons that were not the row's own.
 */
export async function unparkOutboxRowsExcept(
  db: Kysely<Database>,
  queues: readonly string[],
  reasons: readonly string[],
): Promise<{ reason: string; rows: number }[]> {
  const { rows } = await sql<{ reason: string; rows: number }>`
    with found as materialized (
      select id, parked_reason from outbox
      where parked_reason is not null and queue = any(${queues}::text[])
        and parked_reason <> all(${reasons}::text[])
      for update skip locked
    ), freed as (
      update outbox set parked_reason = null, available_at = clock_timestamp()
      from found where outbox.id = found.id
    )
    select parked_reason as reason, count(*)::int as rows from found group by parked_reason`.execute(db);
  return rows;
}

function isSelected({ ids, queue, reason }: ParkedSelection) {
  const conditions = [sql`parked_reason is not null`];
  if (ids !== undefined) conditions.push(sql`id = any(${ids}::bigint[])`);
  if (queue !== undefined) conditions.push(sql`queue = ${queue}`);
  if (reason !== undefined) conditions.push(sql`parked_reason = ${reason}`);
  return sql.join(conditions, sql` and `);
}
