import { describe, expect, test } from '@jest/globals';
import { claimToken, giftOfToken, tokenMatches } from '../../../services/domain/gifts/claim-token.ts';
import { newId } from '../../../services/domain/ids.ts';
import { createKeyringFile, parseKeyring } from '../../../services/domain/recipients/keyring.ts';

const keyring = parseKeyring(createKeyringFile('k1'));
const giftId = newId('gft');
const token = claimToken(keyring, giftId, 1);

describe('claim tokens', () => {
  test('are the same each time, so that a repeated mail carries the same link', () => {
    expect(claimToken(keyring, giftId, 1)).toBe(token);
    expect(token).toMatch(/^clt_[0-9a-z]{52}$/);
  });

  test('name their gift and prove nothing by that', () => {
    expect(giftOfToken(token)).toBe(giftId);
    const forged = token.slice(0, 30) + '0'.repeat(26);
    expect(giftOfToken(forged)).toBe(giftId);
    expect(tokenMatches(keyring, forged, giftId, 1)).toBe(false);
  });

  test('hold for one gift, one version and one keyring', () => {
    expect(tokenMatches(keyring, token, giftId, 1)).toBe(true);
    expect(tokenMatches(keyring, token, giftId, 2)).toBe(false);
    expect(tokenMatches(keyring, token, newId('gft'), 1)).toBe(false);
    expect(tokenMatches(parseKeyring(createKeyringFile('k1')), token, giftId, 1)).toBe(false);
  });

  test.each(['', 'clt_', token.toUpperCase(), `${token}0`, token.slice(0, -1), `clt_${'z'.repeat(52)}`])(
    'what can not be a token names no gift: %s',
    (text) => expect(giftOfToken(text)).toBeNull(),
  );
});
