import type { Kysely } from 'kysely';
import { type ClaimableRow, findClaimable, insertClaim } from '../../database/queries/claims.ts';
import type { Database } from '../../database/schema.ts';
import { DomainError } from '../errors.ts';
import { type ClaimId, fromUuid, type GiftId, newId, newUuid, toUuid, type VoucherId } from '../ids.ts';
import type { Money } from '../money.ts';
import { untilDone } from '../once.ts';
import type { Keyring } from '../recipients/keyring.ts';
import { codeOf } from '../vouchers/code.ts';
import { type ClaimStatus, claimedGift, claimStatus, provenBy } from './claim-link.ts';

export type Claim = {
  id: ClaimId;
  giftId: GiftId;
  voucherId: VoucherId;
  /** shown to whoever made the claim, and stored nowhere */
  code: string;
  value: Money;
  expiresAt: Date | null;
  createdAt: Date;
  /** whether this key had claimed before */
  replayed: boolean;
};

export type ClaimRequest = { token: string; idempotencyKey: string; requestId: string | null };

/**
 * Takes the voucher, once. The claim itself remembers the key that made it: the same key gets the same code again,
 * any other is refused. What was read is claimed in one statement or, where the gift has changed since, read again.
 * @throws DomainError `not_found`, `claim_not_ready`, `state_conflict`, `claim_unavailable`, `unavailable`
 */
export async function claimVoucher(
  db: Kysely<Database>,
  deps: { keyring: Keyring },
  request: ClaimRequest,
): Promise<Claim> {
  const giftId = claimedGift(request.token);
  return await untilDone(async () => {
    const row = provenBy(deps.keyring, request.token, giftId, await findClaimable(db, toUuid(giftId)));
    if (row.claim_id !== null && row.claimed_at !== null && row.claim_key === request.idempotencyKey) {
      return toClaim(deps.keyring, row, { id: row.claim_id, createdAt: row.claimed_at, replayed: true });
    }
    const refusal = refusals[claimStatus(row)];
    if (refusal) throw refusal();
    const id = toUuid(newId('clm'));
    const createdAt = await insertClaim(db, {
      id,
      giftId: row.id,
      voucherId: voucherOf(row).id,
      binding: row.binding,
      idempotencyKey: request.idempotencyKey,
      requestId: request.requestId,
      auditId: newUuid(),
      version: row.version,
    });
    return createdAt ? toClaim(deps.keyring, row, { id, createdAt, replayed: false }) : undefined;
  });
}

const refusals: Readonly<Record<ClaimStatus, (() => DomainError) | null>> = {
  open: null,
  not_ready: () =>
    new DomainError('claim_not_ready', 'the gift is still on its way; try again in a few seconds', {
      retryAfterSeconds: 5,
    }),
  claimed: () => new DomainError('state_conflict', 'the gift was claimed already'),
  expired: () => new DomainError('claim_unavailable', 'the gift has expired'),
  over: () => new DomainError('claim_unavailable', 'the gift is no longer available'),
};

function toClaim(
  keyring: Keyring,
  row: ClaimableRow,
  claim: { id: string; createdAt: Date; replayed: boolean },
): Claim {
  const voucher = voucherOf(row);
  return {
    id: fromUuid('clm', claim.id),
    giftId: fromUuid('gft', row.id),
    voucherId: fromUuid('vch', voucher.id),
    code: codeOf(keyring, voucher.salt),
    value: { amount: row.amount_minor, currency: row.currency },
    expiresAt: row.expires_at,
    createdAt: claim.createdAt,
    replayed: claim.replayed,
  };
}

function voucherOf(row: ClaimableRow): { id: string; salt: Buffer } {
  if (row.voucher_id === null || row.code_salt === null) {
    throw new Error(`gift ${row.id} is ${row.state} without a voucher`);
  }
  return { id: row.voucher_id, salt: row.code_salt };
}
