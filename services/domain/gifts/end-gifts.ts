import type { Transaction } from 'kysely';
import { lockExpiredGifts } from '../../database/queries/due-gifts.ts';
import { endGiftsInStates, type GiftEnd } from '../../database/queries/end-gifts.ts';
import type { Database } from '../../database/schema.ts';
import type { ActorKind, FailureClass } from '../../database/states.ts';
import { type ApiKeyId, fromUuid, type GiftId, newUuid, toUuid } from '../ids.ts';
import { statesBefore } from './gift.ts';

/** Who ends a gift, for its audit record. */
export type Actor = { kind: ActorKind; id: ApiKeyId | null; requestId: string | null };

/**
 * Cancels gifts that are not claimed yet: voucher voided, money back. Free of charge.
 * @returns the gifts that were cancelled; the others were claimed or had ended already
 */
export function cancelGifts(
  trx: Transaction<Database>,
  ids: GiftId[],
  actor: Actor,
): Promise<ReadonlySet<GiftId>> {
  return endGifts(trx, ids, { to: 'cancelled', ...by(actor) });
}

/**
 * Fails gifts that can never be delivered and gives their money back, once: a gift that is delivered or ended already
 * stays as it is.
 */
export function failGifts(
  trx: Transaction<Database>,
  ids: GiftId[],
  actor: Actor,
  failure: { class: FailureClass; code: string },
): Promise<ReadonlySet<GiftId>> {
  return endGifts(trx, ids, { to: 'failed', ...by(actor), failure });
}

/** Expires at most `limit` gifts whose time is over; several processes may do so at once. @returns how many */
export async function expireGifts(trx: Transaction<Database>, limit: number): Promise<number> {
  const due = await lockExpiredGifts(trx, limit);
  if (due.length === 0) return 0;
  const ids = due.map((gift) => fromUuid('gft', gift.id));
  const expired = await endGifts(trx, ids, {
    to: 'expired',
    ...by({ kind: 'schedule', id: null, requestId: null }),
  });
  return expired.size;
}

async function endGifts(
  trx: Transaction<Database>,
  ids: GiftId[],
  end: Omit<GiftEnd, 'from'>,
): Promise<ReadonlySet<GiftId>> {
  const input = [...new Set(ids)].map((id) => ({
    gift_id: toUuid(id),
    transfer_id: newUuid(),
    audit_id: newUuid(),
  }));
  const ended = await endGiftsInStates(trx, input, { ...end, from: statesBefore(end.to) });
  return new Set(ended.map((gift) => fromUuid('gft', gift.id)));
}

function by(actor: Actor): Pick<GiftEnd, 'actorKind' | 'actorId' | 'requestId' | 'failure'> {
  return {
    actorKind: actor.kind,
    actorId: actor.id && toUuid(actor.id),
    requestId: actor.requestId,
    failure: null,
  };
}
