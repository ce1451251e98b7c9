import type { GiftInsert } from '../../database/queries/accept-gifts.ts';
import type { IdempotencyClaim } from '../../database/queries/idempotency.ts';
import { type GiftId, newUuid, toUuid } from '../ids.ts';
import type { OutboxWriter } from '../outbox.ts';
import type { PreparedGift } from './prepare-gift.ts';

/** The key that a sender sent along, and the answer that it will have once the moment of the accept is known. */
export type AcceptClaim = Omit<IdempotencyClaim, 'body'> & { bodyAt: (moment: string) => unknown };

/** Made where the request is: its message carries the request's trace. */
export function toInsert(
  outbox: OutboxWriter,
  { gift, draft, sealed }: PreparedGift,
  claim: AcceptClaim | null,
): GiftInsert {
  return {
    id: toUuid(gift.id),
    sender_id: toUuid(gift.senderId),
    currency: gift.value.currency,
    amount_minor: gift.value.amount,
    channel: gift.channel,
    state: gift.state,
    binding: gift.binding,
    deliver_at: gift.deliverAt?.toISOString() ?? null,
    expires_at: gift.expiresAt?.toISOString() ?? null,
    from: draft.acceptable.from?.toISOString() ?? null,
    until: draft.acceptable.until?.toISOString() ?? null,
    external_id: gift.externalId,
    metadata: gift.metadata,
    request_id: draft.requestId,
    recipient: {
      id: sealed.id,
      blind_index: sealed.blind_index.toString('base64'),
      masked: sealed.masked,
      sealed: sealed.sealed.toString('base64'),
      wrapped_key: (sealed.wrapped_key as Buffer).toString('base64'),
      keyring_key_id: sealed.keyring_key_id,
    },
    transfer_id: newUuid(),
    audit: { id: newUuid(), actor_id: toUuid(draft.apiKeyId), data: { state: gift.state } },
    outbox: gift.state === 'queued' ? deliverMessage(outbox, gift.id, gift.senderId, draft.requestId) : null,
    claim: claim && toStoredClaim(claim),
  };
}

function deliverMessage(outbox: OutboxWriter, id: GiftId, senderId: string, requestId: string | null) {
  return outbox.row({ type: 'gift.deliver', version: 1, id }, { groupId: senderId, requestId });
}

function toStoredClaim({
  scopeId,
  key,
  fingerprint,
  status,
  bodyAt,
  location,
}: AcceptClaim): GiftInsert['claim'] {
  // Nobody can guess it, so no text of the sender's is cut by it.
  const mark = newUuid();
  const body = JSON.stringify(bodyAt(mark)).split(mark);
  return { scope_id: scopeId, key, fingerprint: fingerprint.toString('base64'), status, body, location };
}
