import type { Kysely } from 'kysely';
import { giftAttempts, giftAuditRecords, giftDeadLetters } from '../../database/queries/timeline.ts';
import type { Database } from '../../database/schema.ts';
import { type GiftId, type SenderId, toUuid } from '../ids.ts';
import { findGift } from './list-gifts.ts';

type Rows<Query extends (...args: never[]) => Promise<unknown[]>> = Awaited<ReturnType<Query>>[number];

/** One thing that happened to a gift. */
export type TimelineEntry =
  | { kind: 'event'; at: Date; record: Rows<typeof giftAuditRecords> }
  | { kind: 'attempt'; at: Date; attempt: Rows<typeof giftAttempts> }
  | { kind: 'dead_letter'; at: Date; letter: Rows<typeof giftDeadLetters> };

/**
 * The whole story of a gift in order: state changes, attempts, the reconciler's verdicts.
 * @throws DomainError `not_found`
 */
export async function readTimeline(
  db: Kysely<Database>,
  senderId: SenderId,
  giftId: GiftId,
): Promise<TimelineEntry[]> {
  const { id } = await findGift(db, senderId, giftId);
  const uuid = toUuid(id);
  const [records, attempts, letters] = await Promise.all([
    giftAuditRecords(db, uuid),
    giftAttempts(db, uuid),
    giftDeadLetters(db, uuid),
  ]);
  const entries: TimelineEntry[] = [
    ...records.map((record) => ({ kind: 'event' as const, at: record.created_at, record })),
    ...attempts.map((attempt) => ({ kind: 'attempt' as const, at: attempt.started_at, attempt })),
    ...letters.map((letter) => ({ kind: 'dead_letter' as const, at: letter.first_seen_at, letter })),
  ];
  return entries.sort((a, b) => a.at.getTime() - b.at.getTime());
}
