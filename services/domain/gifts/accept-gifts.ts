import type { Kysely } from 'kysely';
import { isBusy } from '../../database/errors.ts';
import {
  type GiftInsert,
  type InsertedGift,
  insertAcceptedGifts,
} from '../../database/queries/accept-gifts.ts';
import type { Database } from '../../database/schema.ts';
import type { OutboxWriter } from '../outbox.ts';
import { type AcceptRefusal, acceptRefusal } from './accept-refusal.ts';
import { type AcceptClaim, toInsert } from './gift-insert.ts';
import type { PreparedGift } from './prepare-gift.ts';

/** A row of the outbox that the accepting process should publish right after its commit. */
export type OutboxRow = {
  id: string;
  queue: string;
  body: string;
  groupId: string | null;
  traceHeader: string | null;
};

/** A gift to accept, with the key that its sender sent along, if any. */
export type GiftAccept = { insert: GiftInsert; claim: AcceptClaim | null };

export type AcceptOutcome =
  | { kind: 'accepted'; at: Date; outboxRow: OutboxRow | null }
  | { kind: 'replay'; status: number; body: unknown; location: string | null }
  /** the key was used for another request */
  | { kind: 'mismatch' }
  /** a twin with the key is at work elsewhere */
  | { kind: 'in_progress' }
  /** somebody holds what belongs to the sender, or was faster this very moment: nothing is decided */
  | { kind: 'busy' }
  | AcceptRefusal;

export type AcceptDeps = { outbox: OutboxWriter; lockWaitMs: number };

export function giftAccept(
  deps: { outbox: OutboxWriter },
  prepared: PreparedGift,
  claim: AcceptClaim | null,
): GiftAccept {
  return { insert: toInsert(deps.outbox, prepared, claim), claim };
}

/**
 * Accepts gifts, of whatever senders, in one statement, which is one transaction: gift, sealed recipient, reservation of
 * the money, audit record, outbox row and key of each. What becomes of one is no other's concern.
 *
 * @param db in no transaction
 * @returns an outcome for each, in order; all `busy` where a lock could not be had in time and nobody can say whose
 * @throws the database's error when it is about none of them
 */
export async function acceptGifts(
  db: Kysely<Database>,
  { outbox, lockWaitMs }: AcceptDeps,
  accepts: readonly GiftAccept[],
): Promise<AcceptOutcome[]> {
  const inserts = accepts.map(({ insert }) => insert);
  const options = { outboxLeaseSeconds: outbox.leaseSeconds, lockWaitMs };
  const rows = await insertAcceptedGifts(db, inserts, options).catch(noneIfLockedOut);
  if (rows === null) return accepts.map(() => ({ kind: 'busy' }));
  const byId = new Map(rows.map((row) => [row.id, row]));
  const claims = new Map(accepts.map(({ insert, claim }) => [insert.id, claim]));
  return accepts.map((accept) => {
    const row = byId.get(accept.insert.id);
    if (!row) throw new Error('the database told nothing of a gift');
    return toOutcome(accept, row, claims);
  });
}

function noneIfLockedOut(error: unknown): null {
  if (isBusy(error)) return null;
  throw error;
}

function toOutcome(
  { insert, claim }: GiftAccept,
  row: InsertedGift,
  claims: ReadonlyMap<string, AcceptClaim | null>,
): AcceptOutcome {
  switch (row.outcome) {
    case 'accepted':
      return { kind: 'accepted', at: new Date(row.decided_at), outboxRow: outboxRow(insert, row) };
    case 'running':
      return { kind: 'in_progress' };
    case 'busy':
      return { kind: 'busy' };
    case 'taken':
      return earlierOutcome(claim, row, claims);
    default:
      return acceptRefusal(insert.currency, row);
  }
}

/** The answer of a used key: a stored one, or that of the twin in this very set. */
function earlierOutcome(
  claim: AcceptClaim | null,
  { earlier, other_id, decided_at }: InsertedGift,
  claims: ReadonlyMap<string, AcceptClaim | null>,
): AcceptOutcome {
  if (earlier) {
    const { fingerprint, status, body, location } = earlier;
    const isSame = asksFor(claim, Buffer.from(fingerprint, 'base64'));
    return isSame ? { kind: 'replay', status, body, location } : { kind: 'mismatch' };
  }
  const twin = claims.get(other_id ?? '');
  if (!twin) throw new Error('the answer of a used idempotency key is gone');
  if (!asksFor(claim, twin.fingerprint)) return { kind: 'mismatch' };
  return { kind: 'replay', status: twin.status, body: twin.bodyAt(decided_at), location: twin.location };
}

/** Also under another version of the lookup key: a repeat may come after a rotation. */
function asksFor(claim: AcceptClaim | null, asked: Buffer): boolean {
  return (
    claim !== null && [claim.fingerprint, ...(claim.otherFingerprints ?? [])].some((one) => one.equals(asked))
  );
}

function outboxRow(insert: GiftInsert, { outbox_id: id }: InsertedGift): OutboxRow | null {
  const { outbox_queue: queue, outbox_body: body, outbox_group_id: groupId } = insert;
  if (id === null || queue === null || body === null) return null;
  return { id, queue, body, groupId, traceHeader: insert.outbox_trace_header };
}
