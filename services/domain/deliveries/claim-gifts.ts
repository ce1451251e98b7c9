import type { Kysely } from 'kysely';
import {
  type ClaimedRow,
  claimQueuedGifts,
  findUnclaimedGifts,
  type GiftClaimInput,
  type UnclaimedGift,
} from '../../database/queries/claim-deliveries.ts';
import type { Database } from '../../database/schema.ts';
import { type GiftId, newUuid, toUuid } from '../ids.ts';
import type { Keyring } from '../recipients/keyring.ts';
import { mintCode } from '../vouchers/code.ts';
import { type ClaimResult, toWork, type Unclaimed } from './delivery-work.ts';

/** A message that asks for a gift to be delivered. */
export type GiftRequest = { giftId: GiftId; messageId: string; receiveCount: number };

/**
 * Claims gifts for this worker and mints their vouchers: one statement for a whole receive, one more when some could
 * not be had. The same gift may be asked for twice in one call: the first gets it.
 *
 * @param deps.leaseSeconds how long the worker may take; afterwards another may claim the gift
 * @returns a result for each request, in the order of the requests
 */
export async function claimGifts(
  db: Kysely<Database>,
  deps: { keyring: Keyring; leaseSeconds: number },
  requests: GiftRequest[],
): Promise<ClaimResult[]> {
  const first = new Map(requests.toReversed().map((request) => [request.giftId, request]));
  const input = [...first.values()].map((request) => toInput(deps.keyring, request));
  const claimed = new Map(
    (await claimQueuedGifts(db, input, deps.leaseSeconds)).map((row) => [row.gift_id, row]),
  );
  const missed = input.map((claim) => claim.gift_id).filter((id) => !claimed.has(id));
  const unclaimed = missed.length > 0 ? await findUnclaimedGifts(db, missed).catch(() => null) : [];
  // Those that were claimed are ours, whatever becomes of the question about the others: they are asked for again.
  const unknown: Unclaimed = unclaimed === null ? { kind: 'leased', leftSeconds: 0 } : { kind: 'missing' };
  const reasons = new Map(unclaimed?.map((gift) => [gift.id, whyUnclaimed(gift)]));
  return requests.map((request) => {
    const row = claimed.get(toUuid(request.giftId));
    if (!row) return reasons.get(toUuid(request.giftId)) ?? unknown;
    return first.get(request.giftId) === request
      ? claimedAs(deps.keyring, row)
      : { kind: 'leased', leftSeconds: deps.leaseSeconds };
  });
}

function claimedAs(keyring: Keyring, row: ClaimedRow): ClaimResult {
  return { kind: 'claimed', work: toWork(keyring, row) };
}

function toInput(keyring: Keyring, request: GiftRequest): GiftClaimInput {
  const code = mintCode(keyring);
  return {
    gift_id: toUuid(request.giftId),
    delivery_id: newUuid(),
    attempt_id: newUuid(),
    voucher_id: newUuid(),
    code_salt: code.salt.toString('base64'),
    code_hash: code.hash.toString('base64'),
    message_id: request.messageId,
    receive_count: request.receiveCount,
  };
}

function whyUnclaimed(gift: UnclaimedGift): Unclaimed {
  switch (gift.state) {
    case 'scheduled':
    case 'held':
      return { kind: 'not_due' };
    case 'queued':
      // Locked by somebody for a moment, or past its expiry and about to be ended by the schedule.
      return gift.expired ? { kind: 'settled', state: 'expired' } : { kind: 'leased', leftSeconds: 0 };
    case 'delivering':
      // Past its expiry and its worker gone, it is ended by the schedule as well.
      return gift.expired && gift.lease_left_seconds === 0
        ? { kind: 'settled', state: 'expired' }
        : { kind: 'leased', leftSeconds: gift.lease_left_seconds };
    case 'delivered':
      // In doubt, and to be sent once more: the message is what will bring it back.
      return gift.repeat_left_seconds === null
        ? { kind: 'settled', state: gift.state }
        : { kind: 'leased', leftSeconds: gift.repeat_left_seconds };
    default:
      return { kind: 'settled', state: gift.state };
  }
}
