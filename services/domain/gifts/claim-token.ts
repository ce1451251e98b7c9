import { timingSafeEqual } from 'node:crypto';
import { encodeBase32 } from '../base32.ts';
import { type GiftId, isId } from '../ids.ts';
import type { Keyring } from '../recipients/keyring.ts';

/**
 * The secret part of a claim link: `clt_`, the gift's id without prefix, 130 bits of a keyed hash over gift and version,
 * and two symbols for the version of the lookup key, which version 1 does without. Derived, so a repeated mail carries the
 * same link and the database holds nothing to steal.
 */
export function claimToken(
  keyring: Keyring,
  giftId: GiftId,
  version: number,
  lookupVersion = keyring.lookup.current,
): string {
  const proof = encodeBase32(keyring.hash('claim-token', `${giftId}:${version}`, lookupVersion), 130);
  const text = `${giftId.slice(giftIdPrefix.length)}${proof}${versionSymbols(lookupVersion)}`;
  return `clt_${text.toLowerCase()}`;
}

/** The gift that a token speaks of; null for what can't be a token. It proves nothing: see {@link tokenMatches}. */
export function giftOfToken(token: string): GiftId | null {
  if (!/^clt_[0-9a-z]{52}(?:[0-9a-z]{2})?$/.test(token)) return null;
  const giftId = `${giftIdPrefix}${token.slice(4, 30)}`;
  return isId('gft', giftId) ? giftId : null;
}

/**
 * Whether the token is the one for this gift and version, made with a lookup key that is neither retired nor unknown here;
 * takes the same time for every wrong token.
 */
export function tokenMatches(keyring: Keyring, token: string, giftId: GiftId, version: number): boolean {
  const { versions, retired } = keyring.lookup;
  const claimed = versions.find((known) => token.slice(versionAt) === versionSymbols(known).toLowerCase());
  const expected = Buffer.from(claimToken(keyring, giftId, version, claimed));
  const given = Buffer.from(token);
  const equal = given.length === expected.length && timingSafeEqual(given, expected);
  return equal && claimed !== undefined && !retired.has(claimed);
}

export function claimUrl(publicUrl: string, token: string): string {
  return new URL(`/claim/${token}`, publicUrl).href;
}

const giftIdPrefix = 'gft_';

/** `clt_`, the id and the proof. */
const versionAt = 56;

function versionSymbols(lookupVersion: number): string {
  if (lookupVersion === 1) return '';
  return encodeBase32(Buffer.of(lookupVersion >> 2, (lookupVersion & 3) << 6), 10);
}
