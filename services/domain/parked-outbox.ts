import type { Kysely } from 'kysely';
import {
  findParkedOutboxRows,
  type ParkedOutboxRow,
  type ParkedSelection,
  recordOutboxReleases,
  unparkOutboxRows,
} from '../database/queries/parked-outbox.ts';
import type { Database } from '../database/schema.ts';
import { isId, newUuid, toUuid } from './ids.ts';

/** A message that its queue will never take as it is, and that waits for a person. */
export type ParkedMessage = {
  /** of its outbox row */
  id: string;
  queue: string;
  /** why it was parked: `oversize`, or the code by which SQS refused its content */
  reason: string;
  /** the gift or delivery that it is about, `gft_…` or `dlv_…`; null when its body can not be read */
  subject: string | null;
  createdAt: Date;
};

/** One page, in the order in which the messages were written; the next begins after the last one's id. */
export async function listParkedOutboxRows(
  db: Kysely<Database>,
  { limit = 100, ...selection }: ParkedSelection & { afterId?: string; limit?: number } = {},
): Promise<ParkedMessage[]> {
  const rows = await findParkedOutboxRows(db, { ...selection, limit });
  return rows.map(toParkedMessage);
}

/**
 * Has parked messages sent again, by whichever API process comes first; one that is refused again is parked again. Says
 * so in the timeline of each gift. Repeating it does no harm.
 * @returns those that were released
 */
export async function releaseParkedOutboxRows(
  db: Kysely<Database>,
  selection: ParkedSelection = {},
): Promise<ParkedMessage[]> {
  return await db.transaction().execute(async (trx) => {
    const released = (await unparkOutboxRows(trx, selection)).map(toParkedMessage);
    const records = released.flatMap(({ subject, id, reason }) => {
      if (subject === null) return [];
      const kind = subject.startsWith('gft_') ? 'gift' : 'delivery';
      return [
        {
          audit_id: newUuid(),
          subject_kind: kind,
          subject_id: toUuid(subject as `gft_${string}`),
          row: id,
          reason,
        },
      ];
    });
    await recordOutboxReleases(trx, records);
    return released;
  });
}

function toParkedMessage({ id, queue, body, parkedReason, createdAt }: ParkedOutboxRow): ParkedMessage {
  return { id, queue, reason: parkedReason, subject: subjectOf(body), createdAt };
}

/** A body that can not be read is no reason not to show or release its row. */
function subjectOf(body: string): string | null {
  try {
    const { id } = JSON.parse(body) as { id?: unknown };
    return typeof id === 'string' && (isId('gft', id) || isId('dlv', id)) ? id : null;
  } catch {
    return null;
  }
}
