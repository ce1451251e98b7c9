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
  /** when it may be accepted, by the database's clock: from the first on, and before the second */
  acceptable: { from: Date | null; until: Date | null };
  externalId: string | null;
  metadata: Record<string, string>;
  requestId: string | null;
};

/** A gift that is ready to be accepted: ids given, recipient sealed, state known; nothing is stored yet, so it has no times. */
export type PreparedGift = {
  gift: Omit<Gift, 'createdAt' | 'stateChangedAt'>;
  draft: GiftDraft;
  sealed: SealedRecipient;
};

/**
 * Pure but for ids and nonces; done before the transaction starts, so that no lock waits for cryptography. It asks no
 * clock: a gift with a time to deliver at is scheduled, and whether that time has come is for the database to say.
 */
export function prepareGift(deps: { keyring: Keyring }, draft: GiftDraft): PreparedGift {
  const sealed = sealRecipient(deps.keyring, newUuid(), draft.recipient);
  const id: GiftId = newId('gft');
  return {
    draft,
    sealed,
    gift: {
      id,
      senderId: draft.senderId,
      state: draft.deliverAt === null ? 'queued' : 'scheduled',
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
    },
  };
}

/** The gift as it is from the moment of its accept. */
export function acceptedAt({ gift }: PreparedGift, at: Date): Gift {
  return { ...gift, createdAt: at, stateChangedAt: at };
}
