import type { Kysely } from 'kysely';
import { isRefusal } from '../../database/errors.ts';
import {
  type GiftInsert,
  type InsertedGift,
  insertAcceptedGifts,
} from '../../database/queries/accept-gifts.ts';
import {
  earlierAnswer,
  type IdempotencyAnswer,
  type IdempotencyClaim,
} from '../../database/queries/idempotency.ts';
import type { Database } from '../../database/schema.ts';
import type { OutboxWriter } from '../outbox.ts';
import {
  explainRefusal,
  fundingAccountMissing,
  type OutboxRow,
  outboxRow,
  toInsert,
} from './accept-gifts.ts';
import type { PreparedGift } from './prepare-gift.ts';

/** A gift, the key that its sender sent along, and the answer that both will have. */
export type ClaimedAccept = { insert: GiftInsert; claim: IdempotencyClaim };

export type AcceptOutcome =
  | { kind: 'accepted'; outboxRow: OutboxRow | null }
  | Exclude<IdempotencyAnswer, { kind: 'fresh' }>;

/** Made where the request is: its message carries the request's trace. */
export function claimedAccept(
  deps: { outbox: OutboxWriter },
  prepared: PreparedGift,
  claim: IdempotencyClaim,
): ClaimedAccept {
  const { scopeId, key, fingerprint, status, body, location } = claim;
  const stored = {
    scope_id: scopeId,
    key,
    fingerprint: fingerprint.toString('base64'),
    status,
    body,
    location,
  };
  return { claim, insert: { ...toInsert(deps.outbox, prepared), claim: stored } };
}

/**
 * Accepts gifts of different requests together: one statement, which is one transaction. Each is accepted once per
 * key, whatever becomes of the others; but when the database refuses one, it refuses the statement, and the others
 * are accepted one by one.
 *
 * @returns an outcome or a refusal (DomainError) for each, in order
 * @throws the database's error when it is about none of them
 */
export async function acceptClaimed(
  db: Kysely<Database>,
  deps: { outbox: OutboxWriter },
  accepts: readonly ClaimedAccept[],
): Promise<(AcceptOutcome | Error)[]> {
  // On one connection: PostgreSQL tells of a refusal before it lets go of the keys that the statement held, and
  // another connection would find them taken.
  return await db.connection().execute((connection) => acceptOn(connection, deps, accepts));
}

async function acceptOn(
  connection: Kysely<Database>,
  deps: { outbox: OutboxWriter },
  accepts: readonly ClaimedAccept[],
): Promise<(AcceptOutcome | Error)[]> {
  try {
    return await acceptTogether(connection, deps, accepts);
  } catch (error) {
    if (accepts.length === 1) return [refusalOf(error)];
    // No answer is about none of them, and each would wait for the next in vain.
    if (!isRefusal(error)) throw error;
    const outcomes: (AcceptOutcome | Error)[] = [];
    for (const accept of accepts) outcomes.push(...(await acceptOn(connection, deps, [accept])));
    return outcomes;
  }
}

async function acceptTogether(
  connection: Kysely<Database>,
  { outbox }: { outbox: OutboxWriter },
  accepts: readonly ClaimedAccept[],
): Promise<(AcceptOutcome | Error)[]> {
  const inserts = accepts.map(({ insert }) => insert);
  const rows = await insertAcceptedGifts(connection, inserts, outbox.leaseSeconds);
  const byId = new Map(rows.map((row) => [row.id, row]));
  const outcomes: (AcceptOutcome | Error)[] = [];
  for (const accept of accepts)
    outcomes.push(await toOutcome(connection, accept, byId.get(accept.insert.id)));
  return outcomes;
}

async function toOutcome(
  db: Kysely<Database>,
  { insert, claim }: ClaimedAccept,
  row: InsertedGift | undefined,
): Promise<AcceptOutcome | Error> {
  switch (row?.outcome) {
    case 'accepted':
      return { kind: 'accepted', outboxRow: outboxRow(insert, row) };
    case 'running':
      return { kind: 'in_progress' };
    case 'taken':
      return (await earlierAnswer(db, claim)) as AcceptOutcome;
    case 'unfunded':
      return fundingAccountMissing(insert.currency);
    default:
      return new Error('the database told nothing of a gift');
  }
}

function refusalOf(error: unknown): Error {
  try {
    return explainRefusal(error);
  } catch (explained) {
    return explained instanceof Error ? explained : new Error('not accepted', { cause: explained });
  }
}
