import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';
import { type Page, type PageRequest, pageClauses, toPage } from './page.ts';

export type SenderRow = {
  id: string;
  name: string;
  kind: 'person' | 'system';
  status: 'active' | 'suspended';
  created_at: Date;
};

/** Newest first. */
export async function listSenderRows(
  db: Kysely<Database>,
  filter: { status: SenderRow['status'] | null },
  page: PageRequest,
): Promise<Page<SenderRow>> {
  const { where, orderBy, limit } = pageClauses('senders.id', page);
  let query = db.selectFrom('senders').select(['id', 'name', 'kind', 'status', 'created_at']).where(where);
  if (filter.status !== null) query = query.where('status', '=', filter.status);
  return toPage(await query.orderBy(orderBy).limit(limit).execute(), page);
}

export async function hasSender(db: Kysely<Database>, id: string): Promise<boolean> {
  const found = await db.selectFrom('senders').select('id').where('id', '=', id).executeTakeFirst();
  return found !== undefined;
}

/** The sender and the record of who made it, in one statement. */
export async function insertSender(
  db: Kysely<Database>,
  sender: { id: string; name: string; kind: SenderRow['kind']; auditId: string },
): Promise<void> {
  await sql`
    with made as (
      insert into senders (id, name, kind) values (${sender.id}, ${sender.name}, ${sender.kind})
    )
    insert into audit_records (id, action, actor_kind, subject_kind, subject_id, data, created_at)
    values (${sender.auditId}, 'sender.created', 'admin', 'sender', ${sender.id},
      jsonb_build_object('kind', ${sender.kind}::text), clock_timestamp())`.execute(db);
}

export type SenderChange = { name?: string; status?: SenderRow['status'] };

/**
 * Changes a sender and records it, in one statement; what is so already is not recorded again. The name stays out of the
 * record, which can't be erased: a person may be called so.
 * @returns undefined when there is no such sender
 */
export async function changeSender(
  db: Kysely<Database>,
  id: string,
  change: SenderChange,
  audit: { id: string; action: string },
): Promise<(SenderRow & { changed: boolean }) | undefined> {
  const { rows } = await sql<SenderRow & { changed: boolean }>`
    with before as materialized (
      select *, (${change.name ?? null}::text is not null and name <> ${change.name ?? null}::text)
        or (${change.status ?? null}::text is not null and status <> ${change.status ?? null}::text) as changed
      from senders where id = ${id} for update
    ), moved as (
      update senders s set name = coalesce(${change.name ?? null}::text, s.name),
        status = coalesce(${change.status ?? null}::text, s.status)
      from before where s.id = before.id and before.changed
    ), new_audit_record as (
      insert into audit_records (id, action, actor_kind, subject_kind, subject_id, created_at)
      select ${audit.id}, ${audit.action}, 'admin', 'sender', id, clock_timestamp() from before where changed
    )
    select id, coalesce(${change.name ?? null}::text, name) as name, kind,
      coalesce(${change.status ?? null}::text, status) as status, created_at, changed
    from before`.execute(db);
  return rows[0];
}
