import type { GiftInsert, KeyInsert } from '../../database/queries/accept-gifts.ts';
import type { IdempotencyClaim } from '../../database/queries/idempotency.ts';
import { newUuid, toUuid } from '../ids.ts';
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
    recipient_id: sealed.id,
    recipient_blind_index: sealed.blind_index.toString('base64'),
    recipient_masked: sealed.masked,
    recipient_sealed: sealed.sealed.toString('base64'),
    recipient_wrapped_key: (sealed.wrapped_key as Buffer).toString('base64'),
    recipient_keyring_key_id: sealed.keyring_key_id,
    transfer_id: newUuid(),
    audit_id: newUuid(),
    actor_id: toUuid(draft.apiKeyId),
    audit_data: { state: gift.state },
    ...messageOf(outbox, { gift, draft }),
    ...(claim ? toKeyInsert(claim) : noKey),
  };
}

function messageOf(outbox: OutboxWriter, { gift, draft }: Pick<PreparedGift, 'gift' | 'draft'>) {
  const { id, senderId: groupId } = gift;
  const row =
    gift.state === 'queued'
      ? outbox.row({ type: 'gift.deliver', version: 1, id }, { groupId, requestId: draft.requestId })
      : null;
  return {
    outbox_queue: row?.queue ?? null,
    outbox_body: row?.body ?? null,
    outbox_group_id: row?.group_id ?? null,
    outbox_trace_header: row?.trace_header ?? null,
  };
}

const noKey = {
  scope_id: null,
  key: null,
  fingerprint: null,
  status: null,
  answer: null,
  mark: null,
  location: null,
};

function toKeyInsert({ scopeId, key, fingerprint, status, bodyAt, location }: AcceptClaim): KeyInsert {
  // Nobody can guess it, so it is in no text of the sender's.
  const mark = newUuid();
  const answer = JSON.stringify(bodyAt(mark));
  return {
    scope_id: scopeId,
    key,
    fingerprint: fingerprint.toString('base64'),
    status,
    answer,
    mark,
    location,
  };
}
