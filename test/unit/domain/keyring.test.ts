import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  createKeyringFile,
  parseKeyring,
  seal,
  unseal,
} from '../../../services/domain/recipients/keyring.ts';

const key = Buffer.alloc(32, 7);

describe('seal', () => {
  test('opens only under its key and in its context', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.string(), (secret, context) => {
        const sealed = seal(key, secret, context);
        expect(new Uint8Array(unseal(key, sealed, context))).toEqual(secret);
        expect(() => unseal(Buffer.alloc(32, 8), sealed, context)).toThrow();
        expect(() => unseal(key, sealed, `${context}x`)).toThrow();
      }),
    );
  });

  test('notices every changed bit', () => {
    const sealed = seal(key, Buffer.from('a person'), 'row');
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const changed = Buffer.from(sealed);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => unseal(key, changed, 'row')).toThrow();
    }
  });

  test('never looks the same twice', () => {
    expect(seal(key, Buffer.from('a'), 'row')).not.toEqual(seal(key, Buffer.from('a'), 'row'));
  });
});

describe('parseKeyring', () => {
  test('reads what createKeyringFile wrote', () => {
    const keyring = parseKeyring(createKeyringFile('k1'));
    expect(keyring.currentKeyId).toBe('k1');
    expect(keyring.wrappingKeys.get('k1')?.symmetricKeySize).toBe(32);
  });

  test('hashes of two purposes never match', () => {
    const keyring = parseKeyring(createKeyringFile('k1'));
    expect(keyring.hash('blind-index', 'x')).not.toEqual(keyring.hash('api-key', 'x'));
  });

  test.each([
    ['not JSON', '{', 'not JSON'],
    ['a short key', '{"current":"a","keys":{"a":"AAAA"},"lookup":"AAAA"}', 'keys.a: needs exactly 32 bytes'],
    [
      'an unknown current key',
      createKeyringFile('a').replace('"current": "a"', '"current": "b"'),
      'current: names no key',
    ],
  ])('names what is wrong with %s and shows no key', (_, file, message) => {
    expect(() => parseKeyring(file)).toThrow(message);
  });
});
