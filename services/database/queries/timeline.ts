import type { Kysely } from 'kysely';
import type { Database } from '../schema.ts';

/** Audit records of a gift, oldest first. */
export function giftAuditRecords(db: Kysely<Database>, giftId: string) {
  return db
    .selectFrom('audit_records')
    .select(['id', 'action', 'actor_kind', 'actor_id', 'request_id', 'data', 'created_at'])
    .where('subject_id', '=', giftId)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
}

/** Every try of every delivery of a gift, oldest first. */
export function giftAttempts(db: Kysely<Database>, giftId: string) {
  return db
    .selectFrom('delivery_attempts as attempt')
    .innerJoin('deliveries', 'deliveries.id', 'attempt.delivery_id')
    .select([
      'attempt.id',
      'attempt.delivery_id',
      'deliveries.purpose',
      'deliveries.channel',
      'attempt.number',
      'attempt.outcome',
      'attempt.class',
      'attempt.code',
      'attempt.reason',
      'attempt.message_id',
      'attempt.receive_count',
      'attempt.started_at',
      'attempt.finished_at',
      'attempt.next_attempt_at',
    ])
    .where('deliveries.gift_id', '=', giftId)
    .orderBy('attempt.started_at')
    .execute();
}

/** What the reconciler saw of a gift's messages in dead-letter queues, and decided. */
export function giftDeadLetters(db: Kysely<Database>, giftId: string) {
  return db
    .selectFrom('dead_letters')
    .select([
      'id',
      'queue',
      'message_id',
      'class',
      'reason',
      'receive_count',
      'verdict',
      'rule',
      'first_seen_at',
      'applied_at',
    ])
    .where('gift_id', '=', giftId)
    .orderBy('first_seen_at')
    .execute();
}
