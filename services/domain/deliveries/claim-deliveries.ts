import type { Kysely } from 'kysely';
import {
  claimPendingDeliveries,
  findUnclaimedDeliveries,
  type UnclaimedDelivery,
} from '../../database/queries/claim-deliveries.ts';
import type { Database } from '../../database/schema.ts';
import { type DeliveryId, newUuid, toUuid } from '../ids.ts';
import type { Keyring } from '../recipients/keyring.ts';
import { type ClaimResult, toWork, type Unclaimed } from './delivery-work.ts';

/** A message that asks for a resend or a reminder. */
export type DeliveryRequest = { deliveryId: DeliveryId; messageId: string; receiveCount: number };

/**
 * Claims resends and reminders for this worker. A reminder is claimed at most once while it is being sent: a worker
 * that died in the middle of one leaves it unsent rather than sent twice.
 *
 * @returns a result for each request, in the order of the requests
 */
export async function claimDeliveries(
  db: Kysely<Database>,
  deps: { keyring: Keyring; leaseSeconds: number },
  requests: DeliveryRequest[],
): Promise<ClaimResult[]> {
  const first = new Map(requests.toReversed().map((request) => [request.deliveryId, request]));
  const input = [...first.values()].map((request) => ({
    delivery_id: toUuid(request.deliveryId),
    attempt_id: newUuid(),
    message_id: request.messageId,
    receive_count: request.receiveCount,
  }));
  const rows = await claimPendingDeliveries(db, input, deps.leaseSeconds);
  const claimed = new Map(rows.map((row) => [row.delivery_id, row]));
  const missed = input.map((claim) => claim.delivery_id).filter((id) => !claimed.has(id));
  const unclaimed = missed.length > 0 ? await findUnclaimedDeliveries(db, missed).catch(() => null) : [];
  // Those that were claimed are ours, whatever becomes of the question about the others: they are asked for again.
  const unknown: Unclaimed = unclaimed === null ? { kind: 'leased', leftSeconds: 0 } : { kind: 'missing' };
  const reasons = new Map(unclaimed?.map((delivery) => [delivery.id, whyUnclaimed(delivery)]));
  return requests.map((request) => {
    const row = claimed.get(toUuid(request.deliveryId));
    if (!row) return reasons.get(toUuid(request.deliveryId)) ?? unknown;
    return first.get(request.deliveryId) === request
      ? { kind: 'claimed', work: toWork(deps.keyring, row) }
      : { kind: 'leased', leftSeconds: deps.leaseSeconds };
  });
}

function whyUnclaimed(delivery: UnclaimedDelivery): Unclaimed {
  if (delivery.gift_state !== 'delivered') return { kind: 'settled', state: delivery.gift_state };
  if (delivery.state === 'pending' || delivery.state === 'deferred')
    return { kind: 'leased', leftSeconds: delivery.lease_left_seconds };
  if (delivery.state === 'sending' && delivery.purpose === 'resend') {
    return { kind: 'leased', leftSeconds: delivery.lease_left_seconds };
  }
  return { kind: 'settled', state: delivery.state };
}
