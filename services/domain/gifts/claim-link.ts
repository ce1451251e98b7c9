import type { Kysely } from 'kysely';
import { type ClaimableRow, findClaimable } from '../../database/queries/claims.ts';
import type { Database } from '../../database/schema.ts';
import { DomainError } from '../errors.ts';
import { type GiftId, toUuid } from '../ids.ts';
import type { Money } from '../money.ts';
import type { Keyring } from '../recipients/keyring.ts';
import { openRecipient } from '../recipients/recipient.ts';
import { giftOfToken, tokenMatches } from './claim-token.ts';

/** What the holder of a claim link may see before claiming. */
export type ClaimLink = {
  giftId: GiftId;
  value: Money;
  senderName: string;
  message: string | null;
  expiresAt: Date | null;
  status: ClaimStatus;
};

/** `open`: may be claimed; `not_ready`: still being delivered; `over`: ended in one way or another. */
export type ClaimStatus = 'open' | 'not_ready' | 'claimed' | 'expired' | 'over';

/** Reads a gift by its claim link and changes nothing. @throws DomainError `not_found` for a link that is not ours */
export async function readClaimLink(
  db: Kysely<Database>,
  deps: { keyring: Keyring },
  token: string,
): Promise<ClaimLink> {
  const giftId = claimedGift(token);
  const row = provenBy(deps.keyring, token, giftId, await findClaimable(db, toUuid(giftId)));
  const words = wordsOf(deps.keyring, row);
  return {
    giftId,
    value: { amount: row.amount_minor, currency: row.currency },
    senderName: words.senderName ?? row.sender_name,
    message: words.message ?? null,
    expiresAt: row.expires_at,
    status: claimStatus(row),
  };
}

/** The gift that a token speaks of. @throws DomainError `not_found` */
export function claimedGift(token: string): GiftId {
  const giftId = giftOfToken(token);
  if (giftId === null) throw unknownLink();
  return giftId;
}

/** The row, once the token has proved itself. A wrong proof and a missing gift are one and the same to a stranger. */
export function provenBy(
  keyring: Keyring,
  token: string,
  giftId: GiftId,
  row: ClaimableRow | undefined,
): ClaimableRow {
  const proven = tokenMatches(keyring, token, giftId, row?.claim_version ?? 0);
  if (!proven || row === undefined) throw unknownLink();
  return row;
}

export function claimStatus(row: Pick<ClaimableRow, 'state' | 'expired'>): ClaimStatus {
  switch (row.state) {
    case 'delivered':
      return row.expired ? 'expired' : 'open';
    case 'queued':
    case 'delivering':
      return row.expired ? 'expired' : 'not_ready';
    case 'claimed':
    case 'expired':
      return row.state;
    default:
      return 'over';
  }
}

function unknownLink(): DomainError {
  return new DomainError('not_found', 'this claim link is not valid; check that it was copied whole');
}

/** An erased recipient's words are gone for ever; the gift itself can still be claimed by whoever holds the link. */
function wordsOf(keyring: Keyring, row: ClaimableRow): { message?: string; senderName?: string } {
  if (row.wrapped_key === null) return {};
  return openRecipient(keyring, {
    id: row.recipient_id,
    kind: row.channel,
    sealed: row.sealed,
    wrapped_key: row.wrapped_key,
    keyring_key_id: row.keyring_key_id,
  });
}
