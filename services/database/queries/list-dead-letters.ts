import type { Kysely } from 'kysely';
import type { Database } from '../schema.ts';
import type { Verdict } from '../states.ts';
import { type Page, type PageRequest, pageClauses, toPage } from './page.ts';

export type DeadLetterRow = Awaited<ReturnType<typeof selectDeadLetters>>[number];

/** What was seen in dead-letter queues, newest first; without bodies. */
export async function listDeadLetterRows(
  db: Kysely<Database>,
  filter: { verdict: Verdict | null },
  page: PageRequest,
): Promise<Page<DeadLetterRow>> {
  return toPage(await selectDeadLetters(db, filter, page), page);
}

function selectDeadLetters(db: Kysely<Database>, filter: { verdict: Verdict | null }, page: PageRequest) {
  const { where, orderBy, limit } = pageClauses('dead_letters.id', page);
  let query = db
    .selectFrom('dead_letters')
    .select([
      'id',
      'queue',
      'message_id',
      'message_key',
      'gift_id',
      'class',
      'reason',
      'receive_count',
      'sent_at',
      'verdict',
      'rule',
      'first_seen_at',
      'last_seen_at',
      'applied_at',
      'archived_at',
    ])
    .where(where);
  if (filter.verdict !== null) query = query.where('verdict', '=', filter.verdict);
  return query.orderBy(orderBy).limit(limit).execute();
}
