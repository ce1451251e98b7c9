import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { checkSymbol, encodeBase32 } from '../../../services/domain/base32.ts';
import { createKeyringFile, parseKeyring } from '../../../services/domain/recipients/keyring.ts';
import { codeOf, hashCode, mintCode } from '../../../services/domain/vouchers/code.ts';

const keyring = parseKeyring(createKeyringFile('k1'));
const symbols = [...'0123456789ABCDEFGHJKMNPQRSTVWXYZ'];
const payload = fc
  .array(fc.constantFrom(...symbols), { minLength: 20, maxLength: 20 })
  .map((all) => all.join(''));

describe('voucher codes', () => {
  test('are four groups of five and a check symbol, the same each time they are derived', () => {
    const { salt, hash } = mintCode(keyring);
    const code = codeOf(keyring, salt);
    expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z*~$=U]$/);
    expect(codeOf(keyring, salt)).toBe(code);
    expect(hashCode(keyring, code)).toEqual(hash);
  });

  test('are found however a person types them', () => {
    const { salt, hash } = mintCode(keyring);
    const typed = codeOf(keyring, salt)
      .toLowerCase()
      .replaceAll('-', ' ')
      .replaceAll('0', 'o')
      .replaceAll('1', 'l');
    expect(hashCode(keyring, typed)).toEqual(hash);
  });

  test('can not be derived from what the database holds', () => {
    const { salt } = mintCode(keyring);
    expect(codeOf(parseKeyring(createKeyringFile('k1')), salt)).not.toBe(codeOf(keyring, salt));
  });

  test('every single wrong symbol changes the check symbol', () => {
    fc.assert(
      fc.property(payload, fc.nat(19), fc.constantFrom(...symbols), (text, at, symbol) => {
        fc.pre(text[at] !== symbol);
        expect(checkSymbol(text.slice(0, at) + symbol + text.slice(at + 1))).not.toBe(checkSymbol(text));
      }),
    );
  });

  test('every swapped pair of neighbours changes the check symbol', () => {
    fc.assert(
      fc.property(payload, fc.nat(18), (text, at) => {
        fc.pre(text[at] !== text[at + 1]);
        const swapped = text.slice(0, at) + text[at + 1] + text[at] + text.slice(at + 2);
        expect(checkSymbol(swapped)).not.toBe(checkSymbol(text));
      }),
    );
  });
});

test('base32 takes the first bits, most significant first', () => {
  expect(encodeBase32(Buffer.from([0b00001_000, 0b10_000110]), 15)).toBe('123');
  expect(() => encodeBase32(Buffer.alloc(1), 10)).toThrow(RangeError);
});
