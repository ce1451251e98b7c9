import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';
import { now } from './now.ts';

export type IdempotencyClaim = {
  /** whose keys they are: two senders may use the same key */
  scopeId: string;
  key: string;
  /** hash of method, path and body */
  fingerprint: Buffer;
  /** the same under other versions of the lookup key: a repeat may come after a rotation, or at another process */
  otherFingerprints?: readonly Buffer[];
  status: number;
  body: unknown;
  location: string | null;
};

export type IdempotencyAnswer =
  | { kind: 'fresh' }
  | { kind: 'replay'; status: number; body: unknown; location: string | null }
  | { kind: 'mismatch' }
  | { kind: 'in_progress' };

/**
 * Expired keys go in small steps, so that no step holds locks for long. The materialized CTE is a fence, as in the
 * outbox: a limited subquery may be run once per row, and then it limits nothing. Time is the database's: a process whose
 * clock is ahead must not forget the keys of a moment ago.
 */
export async function deleteExpiredIdempotencyKeys(
  trx: Transaction<Database>,
  olderThanDays: number,
  limit: number,
): Promise<number> {
  const { numAffectedRows } = await sql`
    with expired as materialized (
      select scope_id, key from idempotency_keys
      where created_at < ${now} - make_interval(days => ${olderThanDays}::integer)
      order by created_at limit ${limit} for update skip locked
    )
    delete from idempotency_keys k using expired where k.scope_id = expired.scope_id and k.key = expired.key`.execute(
    trx,
  );
  return Number(numAffectedRows ?? 0);
}

type AskedKey = Pick<IdempotencyClaim, 'scopeId' | 'key' | 'fingerprint' | 'otherFingerprints'>;

/** The answer that a used key has. */
export async function earlierAnswer(db: Kysely<Database>, asked: AskedKey): Promise<IdempotencyAnswer> {
  const answer = await storedAnswer(db, asked);
  if (answer) return answer;
  throw new Error('the answer of a used idempotency key is gone');
}

/** The answer that a key has, without any lock; undefined where it has none yet. */
export async function storedAnswer(
  db: Kysely<Database>,
  { scopeId, key, fingerprint, otherFingerprints = [] }: AskedKey,
): Promise<IdempotencyAnswer | undefined> {
  const earlier = await db
    .selectFrom('idempotency_keys')
    .select(['fingerprint', 'status', 'body', 'location'])
    .where('scope_id', '=', scopeId)
    .where('key', '=', key)
    .executeTakeFirst();
  if (!earlier) return undefined;
  const isSame = [fingerprint, ...otherFingerprints].some((one) => earlier.fingerprint.equals(one));
  if (!isSame) return { kind: 'mismatch' };
  return { kind: 'replay', status: earlier.status, body: earlier.body, location: earlier.location };
}
