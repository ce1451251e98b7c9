import type { ClaimedRow } from '../../database/queries/claim-deliveries.ts';
import type { DeliveryPurpose } from '../../database/states.ts';
import { type DeliveryId, fromUuid, type GiftId, type SenderId } from '../ids.ts';
import type { Money } from '../money.ts';
import type { Keyring } from '../recipients/keyring.ts';
import { openRecipient, type Recipient } from '../recipients/recipient.ts';

/** A delivery that this worker holds until its lease ends, with all that sending it takes. */
export type DeliveryWork = {
  deliveryId: DeliveryId;
  giftId: GiftId;
  senderId: SenderId;
  purpose: DeliveryPurpose;
  /** number of this attempt, from 1; settling names it, so that a worker that was overtaken changes nothing */
  attempt: number;
  /** attempts since the start or the last redrive, this one included: what the retry limit is compared with */
  attemptsCounted: number;
  /** this attempt was another worker's, which is gone, and its mail may be out: it is not to be sent again now */
  maybeOut: boolean;
  /** earlier attempts of which nobody knows whether the recipient has their mail; a gift with one counts as delivered */
  inDoubt: number;
  /** for how long it has been tried */
  ageSeconds: number;
  /** for how long its recipient has waited: since the gift was accepted, or was to be delivered */
  waitedSeconds: number;
  value: Money;
  senderName: string;
  claimVersion: number;
  expiresAt: Date | null;
  requestId: string | null;
  /** opened on demand: an erased recipient fails its own delivery and no other of the same receive */
  openRecipient: () => Recipient;
};

/** Why a message asks for nothing that can be done now. */
export type Unclaimed =
  /** delivered, ended or cancelled: the message is a repeat and is done with */
  | { kind: 'settled'; state: string }
  /** another worker is on it for that long, by the clock of the database, which measures leases */
  | { kind: 'leased'; leftSeconds: number }
  /** its time has not come; the schedule will queue it */
  | { kind: 'not_due' }
  /** there is no such row */
  | { kind: 'missing' };

export type ClaimResult = { kind: 'claimed'; work: DeliveryWork } | Unclaimed;

export function toWork(keyring: Keyring, row: ClaimedRow): DeliveryWork {
  return {
    deliveryId: fromUuid('dlv', row.delivery_id),
    giftId: fromUuid('gft', row.gift_id),
    senderId: fromUuid('sen', row.sender_id),
    purpose: row.purpose,
    attempt: row.attempts,
    attemptsCounted: row.attempts - row.attempts_forgiven,
    maybeOut: row.maybe_out,
    inDoubt: row.in_doubt,
    ageSeconds: row.age_seconds,
    waitedSeconds: row.waited_seconds,
    value: { amount: row.amount_minor, currency: row.currency },
    senderName: row.sender_name,
    claimVersion: row.claim_version,
    expiresAt: row.expires_at,
    requestId: row.request_id,
    openRecipient: () =>
      openRecipient(keyring, {
        id: row.recipient_id,
        kind: row.recipient_kind,
        sealed: row.sealed,
        wrapped_key: row.wrapped_key,
        keyring_key_id: row.keyring_key_id,
      }),
  };
}
