import type { Kysely, Transaction } from 'kysely';
import { findExpiredGifts, releaseLapsedGifts } from '../../database/queries/due-gifts.ts';
import {
  endGiftOnce,
  endGiftsInStates,
  type GiftEnd,
  type GiftEndInput,
  type GiftEndOnce,
} from '../../database/queries/end-gifts.ts';
import type { OnceOutcome } from '../../database/queries/once.ts';
import type { Database } from '../../database/schema.ts';
import type { ActorKind, FailureClass } from '../../database/states.ts';
import { type ApiKeyId, fromUuid, type GiftId, newUuid, toUuid } from '../ids.ts';
import { refusedFor } from './due-gifts-refused.ts';
import { statesBefore } from './gift.ts';

/** Who ends a gift, for its audit record. */
export type Actor = { kind: ActorKind; id: ApiKeyId | null; requestId: string | null };

/** A gift that can never be delivered, and why. */
export type GiftFailure = { id: GiftId; class: FailureClass; code: string };

/** Cancels a gift as it was read, if it is not claimed yet, under the key that asks for it: voucher voided, money back. */
export function cancelOnce(
  db: Kysely<Database>,
  { id, version }: { id: GiftId; version: string },
  actor: Actor,
  once: GiftEndOnce,
): Promise<OnceOutcome> {
  const end = { to: 'cancelled', from: statesBefore('cancelled'), ...by(actor) } as const;
  return endGiftOnce(db, toInput({ ...unfailed(id), version }), end, once);
}

/**
 * Fails gifts that can never be delivered and gives their money back, once: a gift that is delivered or ended already
 * stays as it is. One statement for all, whatever they failed of: ledger accounts are locked in one order per statement,
 * and a second one in the same transaction could meet a settlement the other way round.
 */
export function failGifts(
  trx: Transaction<Database>,
  failures: readonly GiftFailure[],
  actor: Actor,
): Promise<ReadonlySet<GiftId>> {
  return endGifts(trx, failures, { to: 'failed', ...by(actor) });
}

/**
 * Expires at most `limit` gifts whose time is over; several processes may do so at once. One statement ends what was read,
 * as far as it is still as it was: nothing stays locked while this process is asked for anything.
 * @returns how many. @throws DueGiftsRefusedError naming the gifts
 */
export async function expireGifts(
  db: Kysely<Database>,
  limit: number,
  except: readonly GiftId[] = [],
): Promise<number> {
  const due = await findExpiring(db, limit, except);
  if (due.length === 0) return 0;
  const gifts = due.map(({ id, version }) => ({ ...unfailed(fromUuid('gft', id)), version }));
  const end = {
    to: 'expired',
    passLocked: true,
    ...by({ kind: 'schedule', id: null, requestId: null }),
  } as const;
  return (await endGifts(db, gifts, end).catch(refusedFor(due))).size;
}

async function findExpiring(db: Kysely<Database>, limit: number, except: readonly GiftId[]) {
  const spared = except.map((id) => toUuid(id));
  const due = await findExpiredGifts(db, limit, spared);
  const lapsed = due.filter(({ state }) => state === 'delivering').map(({ id }) => id);
  if (lapsed.length === 0) return due;
  await releaseLapsedGifts(db, lapsed).catch(refusedFor(due));
  return await findExpiredGifts(db, limit, spared);
}

type Ending = (GiftFailure | { id: GiftId; class: null; code: null }) & { version?: string };

function unfailed(id: GiftId): Ending {
  return { id, class: null, code: null };
}

async function endGifts(
  db: Kysely<Database>,
  gifts: readonly Ending[],
  end: Omit<GiftEnd, 'from'>,
): Promise<ReadonlySet<GiftId>> {
  const distinct = new Map(gifts.map((gift) => [gift.id, gift]));
  const input = [...distinct.values()].map(toInput);
  const ended = await endGiftsInStates(db, input, { ...end, from: statesBefore(end.to) });
  return new Set(ended.map((gift) => fromUuid('gft', gift.id)));
}

function toInput({ id, class: failureClass, code, version }: Ending): GiftEndInput {
  return {
    gift_id: toUuid(id),
    transfer_id: newUuid(),
    audit_id: newUuid(),
    version: version ?? null,
    class: failureClass,
    code,
  };
}

function by(actor: Actor): Pick<GiftEnd, 'actorKind' | 'actorId' | 'requestId'> {
  return {
    actorKind: actor.kind,
    actorId: actor.id && toUuid(actor.id),
    requestId: actor.requestId,
  };
}
