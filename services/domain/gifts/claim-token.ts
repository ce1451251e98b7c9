import { timingSafeEqual } from 'node:crypto';
import { encodeBase32 } from '../base32.ts';
import { type GiftId, isId } from '../ids.ts';
import type { Keyring } from '../recipients/keyring.ts';

/**
 * The secret part of a claim link: `clt_`, the gift's id without prefix, and 130 bits of a keyed hash over gift and
 * version. Derived, so a repeated mail carries the same link and the database holds nothing to steal.
 */
export function claimToken(keyring: Keyring, giftId: GiftId, version: number): string {
  const proof = encodeBase32(keyring.hash('claim-token', `${giftId}:${version}`), 130);
  return `clt_${giftId.slice(giftIdPrefix.length)}${proof.toLowerCase()}`;
}

/** The gift that a token speaks of; null for what can't be a token. It proves nothing: see {@link tokenMatches}. */
export function giftOfToken(token: string): GiftId | null {
  if (!/^clt_[0-9a-z]{52}$/.test(token)) return null;
  const giftId = `${giftIdPrefix}${token.slice(4, 30)}`;
  return isId('gft', giftId) ? giftId : null;
}

/** Whether the token is the one for this gift and version; takes the same time for every wrong token. */
export function tokenMatches(keyring: Keyring, token: string, giftId: GiftId, version: number): boolean {
  const expected = Buffer.from(claimToken(keyring, giftId, version));
  const given = Buffer.from(token);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

export function claimUrl(publicUrl: string, token: string): string {
  return new URL(`/claim/${token}`, publicUrl).href;
}

const giftIdPrefix = 'gft_';
