import type { Binding } from '../../database/states.ts';
import { type ApiKeyId, type GiftId, newId, newUuid, type SenderId } from '../ids.ts';
import type { Money } from '../money.ts';
import type { Keyring } from '../recipients/keyring.ts';
import { type Recipient, type SealedRecipient, sealRecipient } from '../recipients/recipient.ts';
import type { Gift } from './gift.ts';

/** What a sender asks for, validated. */
export type GiftDraft = {
  senderId: SenderId;
  apiKeyId: ApiKeyId;
  value: Money;
  recipient: Recipient;
  binding: Binding;
  deliverAt: Date | null;
  expiresAt: Date | null;
  externalId: string | null;
  metadata: Record<string, string>;
  requestId: string | null;
};

/** A gift that is ready to be accepted: ids given, recipient sealed, state known; nothing is stored yet. */
export type PreparedGift = { gift: Gift; draft: GiftDraft; sealed: SealedRecipient };

/** Pure but for ids and nonces; done before the transaction starts, so that no lock waits for cryptography. */
export function prepareGift(deps: { keyring: Keyring }, draft: GiftDraft, now: Date): PreparedGift {
  const sealed = sealRecipient(deps.keyring, newUuid(), draft.recipient);
  const scheduled = draft.deliverAt !== null && draft.deliverAt > now;
  const id: GiftId = newId('gft');
  return {
    draft,
    sealed,
    gift: {
      id,
      senderId: draft.senderId,
      state: scheduled ? 'scheduled' : 'queued',
      value: draft.value,
      channel: draft.recipient.kind,
      recipientMasked: sealed.masked,
      binding: draft.binding,
      claimVersion: 1,
      deliverAt: draft.deliverAt,
      expiresAt: draft.expiresAt,
      externalId: draft.externalId,
      metadata: draft.metadata,
      failure: null,
      deadLetteredAt: null,
      createdAt: now,
      stateChangedAt: now,
    },
  };
}
