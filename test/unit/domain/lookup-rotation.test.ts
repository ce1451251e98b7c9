import { describe, expect, test } from '@jest/globals';
import { claimToken, giftOfToken, tokenMatches } from '../../../services/domain/gifts/claim-token.ts';
import { newId } from '../../../services/domain/ids.ts';
import { createKeyringFile, parseKeyring } from '../../../services/domain/recipients/keyring.ts';
import { lookupRotation } from '../../../services/domain/recipients/rotate-lookup.ts';
import { codeOf, hashCode, mintCode } from '../../../services/domain/vouchers/code.ts';

const before = createKeyringFile('k1');
const { json: added, version } = lookupRotation.add(before);
const used = lookupRotation.use(added, version);
const retired = lookupRotation.retire(used, 1);
const [old, knows, uses, refuses] = [before, added, used, retired].map(parseKeyring) as [
  ReturnType<typeof parseKeyring>,
  ReturnType<typeof parseKeyring>,
  ReturnType<typeof parseKeyring>,
  ReturnType<typeof parseKeyring>,
];
const giftId = newId('gft');

describe('the lookup key has versions', () => {
  test('a keyring of before is version 1, and a keyring that only knows more makes the same hashes', () => {
    expect(old.lookup).toMatchObject({ current: 1, versions: [1] });
    expect(knows.lookup).toMatchObject({ current: 1, versions: [1, 2] });
    expect(uses.lookup).toMatchObject({ current: 2, versions: [2, 1] });
    expect(knows.hash('api-key', 'x')).toEqual(old.hash('api-key', 'x'));
    expect(uses.hash('api-key', 'x')).not.toEqual(old.hash('api-key', 'x'));
    expect(uses.hash('api-key', 'x', 1)).toEqual(old.hash('api-key', 'x'));
    expect(() => old.hash('api-key', 'x', 2)).toThrow('no lookup key of version 2');
  });

  test('a claim link says which version made it; links of before say nothing and are of version 1', () => {
    const [first, second] = [claimToken(old, giftId, 1), claimToken(uses, giftId, 1)];
    expect(claimToken(knows, giftId, 1)).toBe(first);
    expect(second).toMatch(/^clt_[0-9a-z]{54}$/);
    expect(giftOfToken(second)).toBe(giftId);
    for (const keyring of [knows, uses]) {
      expect(tokenMatches(keyring, first, giftId, 1)).toBe(true);
      expect(tokenMatches(keyring, second, giftId, 1)).toBe(true);
    }
    expect(tokenMatches(old, second, giftId, 1)).toBe(false);
  });

  test('a retired version proves no claim link any more, and still derives the codes that people have', () => {
    expect(tokenMatches(refuses, claimToken(old, giftId, 1), giftId, 1)).toBe(false);
    expect(tokenMatches(refuses, claimToken(uses, giftId, 1), giftId, 1)).toBe(true);
    const { salt, hash } = mintCode(old);
    expect(codeOf(refuses, salt)).toBe(codeOf(old, salt));
    expect(hashCode(refuses, codeOf(old, salt), 1)).toEqual(hash);
  });

  test('a token can not be lifted to another version by what it says', () => {
    const token = claimToken(old, giftId, 1);
    for (const suffix of ['00', '01', '02', '03', 'zz']) {
      expect(tokenMatches(uses, `${token}${suffix}`, giftId, 1)).toBe(false);
    }
    const second = claimToken(uses, giftId, 1);
    expect(tokenMatches(uses, second.slice(0, -2), giftId, 1)).toBe(false);
    expect(tokenMatches(uses, `${second.slice(0, -2)}03`, giftId, 1)).toBe(false);
  });

  test('a voucher keeps its code through a rotation', () => {
    for (const [maker, readers] of [
      [old, [knows, uses, refuses]],
      [uses, [knows, uses, refuses]],
    ] as const) {
      const { salt, hash } = mintCode(maker);
      for (const reader of readers) {
        expect(codeOf(reader, salt)).toBe(codeOf(maker, salt));
        expect(
          reader.lookup.versions.map((one) => hashCode(reader, codeOf(maker, salt), one)),
        ).toContainEqual(hash);
      }
    }
    expect(mintCode(uses).salt).toHaveLength(18);
  });
});

describe('what is no step of a rotation is refused, and no key is shown', () => {
  test.each<[string, () => unknown, string]>([
    ['a version that nobody knows', () => lookupRotation.use(before, 7), 'no lookup key of version 7'],
    ['retiring the current version', () => lookupRotation.retire(added, 1), 'is the current one'],
    ['going back to a retired version', () => lookupRotation.use(retired, 1), 'is retired'],
  ])('%s', (_, step, message) => expect(step).toThrow(message));

  test.each([
    ['an unknown current version', { current: 2, keys: { 1: 'A' } }, 'names no version'],
    [
      'a retired current version',
      { current: 1, keys: { 1: 'A' }, retired: [1] },
      'names the current version',
    ],
    ['a short key', { current: 1, keys: { 1: 'AAAA' } }, 'lookup.keys.1: needs exactly 32 bytes'],
    ['a version that no link can carry', { current: 1024, keys: { 1024: 'A' } }, 'lookup.current'],
  ])('%s', (_, lookup, message) => {
    const key = 'QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=';
    const text = JSON.stringify({ current: 'k', keys: { k: key }, lookup }).replaceAll('"A"', `"${key}"`);
    expect(() => parseKeyring(text)).toThrow(message);
    try {
      parseKeyring(text);
    } catch (error) {
      expect(String(error)).not.toContain('QUFB');
    }
  });
});
