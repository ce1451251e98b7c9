import { describe, expect, test } from '@jest/globals';
import { newUuid } from '../../../services/domain/ids.ts';
import { createKeyringFile, parseKeyring } from '../../../services/domain/recipients/keyring.ts';
import {
  maskRecipient,
  openRecipient,
  sealRecipient,
} from '../../../services/domain/recipients/recipient.ts';

const keyring = parseKeyring(createKeyringFile('k1'));
const ada = {
  kind: 'email',
  email: 'Ada.Lovelace@Example.COM',
  message: 'Well done',
  senderName: 'Charles',
} as const;

describe('sealRecipient', () => {
  test('keeps nothing readable and opens to what was sealed', () => {
    const row = sealRecipient(keyring, newUuid(), ada);
    expect(JSON.stringify(row) + row.sealed.toString('latin1')).not.toMatch(
      /lovelace|example|well done|charles/i,
    );
    expect(openRecipient(keyring, row)).toEqual(ada);
  });

  test('finds a person again by blind index, however the address is spelt', () => {
    const index = (email: string) => sealRecipient(keyring, newUuid(), { kind: 'email', email }).blind_index;
    expect(index('ada.lovelace@example.com')).toEqual(index('ADA.lovelace@EXAMPLE.com'));
    expect(index('ada@bücher.example')).toEqual(index('ada@xn--bcher-kva.example'));
    expect(index('ada@example.com')).not.toEqual(index('adb@example.com'));
  });

  test('an erased recipient can not be opened', () => {
    const row = { ...sealRecipient(keyring, newUuid(), ada), wrapped_key: null };
    expect(() => openRecipient(keyring, row)).toThrow('was erased');
  });

  test('a row sealed under another keyring names the missing key', () => {
    const row = sealRecipient(parseKeyring(createKeyringFile('k2')), newUuid(), ada);
    expect(() => openRecipient(keyring, row)).toThrow('has no key "k2"');
  });
});

test('masks show too little to reach anybody', () => {
  expect(maskRecipient(ada)).toBe('A•••@E•••.COM');
  const address = '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed';
  expect(maskRecipient({ kind: 'wallet', address, chainId: 1 })).toBe('eip155:1:0x5a…eAed');
});
