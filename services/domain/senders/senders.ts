import type { Kysely } from 'kysely';
import { changeSender, listSenderRows, type SenderRow } from '../../database/queries/senders.ts';
import type { Database } from '../../database/schema.ts';
import { fromUuid, newUuid, type SenderId, toUuid } from '../ids.ts';

export type Sender = {
  id: SenderId;
  name: string;
  kind: 'person' | 'system';
  status: 'active' | 'suspended';
  createdAt: Date;
};

/** One page, newest first; the next begins after the last one's id. */
export async function listSenders(
  db: Kysely<Database>,
  filter: { status: Sender['status'] | null },
  page: { limit: number; after: SenderId | null },
): Promise<{ senders: Sender[]; next: SenderId | null }> {
  const after = page.after === null ? null : toUuid(page.after);
  const { rows, next } = await listSenderRows(db, filter, { limit: page.limit, after, before: null });
  const senders = rows.map(toSender);
  return { senders, next: (next && senders.at(-1)?.id) || null };
}

/** @returns undefined when there is no such sender */
export async function renameSender(
  db: Kysely<Database>,
  id: SenderId,
  name: string,
): Promise<Sender | undefined> {
  const row = await changeSender(db, toUuid(id), { name }, { id: newUuid(), action: 'sender.renamed' });
  return row && toSender(row);
}

/**
 * A suspended sender's keys are refused, as soon as running APIs have forgotten that they knew them (5 s). Gifts that were
 * accepted before go their way: they are paid for, and their recipients have done nothing.
 * @returns undefined when there is no such sender
 */
export async function setSenderStatus(
  db: Kysely<Database>,
  id: SenderId,
  status: Sender['status'],
): Promise<Sender | undefined> {
  const action = status === 'suspended' ? 'sender.suspended' : 'sender.activated';
  const row = await changeSender(db, toUuid(id), { status }, { id: newUuid(), action });
  return row && toSender(row);
}

function toSender(row: SenderRow): Sender {
  const { id, name, kind, status, created_at: createdAt } = row;
  return { id: fromUuid('sen', id), name, kind, status, createdAt };
}
