import { describe, expect, test } from '@jest/globals';
import { readEmailAddress } from '../../../services/domain/recipients/email-address.ts';

describe('an address that mail reaches is taken', () => {
  test.each([
    'a&b@example.com',
    'x=y@example.com',
    "o'hara+gift@example.museum",
    '!#$%&*/?^_`{|}~-@example.com',
    '"ada lovelace"@example.com',
    '"a@b,c"@example.com',
    'ada@xn--e1afmkfd.xn--p1ai',
    'ada@mail.example.technology',
    'ada@Example.COM',
    `${'a'.repeat(64)}@example.com`,
    `ada@${'b'.repeat(63)}.com`,
  ])('%s, as it was typed', (text) => {
    expect(readEmailAddress(text)).toEqual({ address: text });
  });

  test.each([
    ['ada@bücher.example', 'ada@xn--bcher-kva.example'],
    ['ada@пример.рф', 'ada@xn--e1afmkfd.xn--p1ai'],
    ['ada@例え。テスト', 'ada@xn--r8jz45g.xn--zckzah'],
    ['"ada"@example.com', 'ada@example.com'],
  ])('%s, as mail servers know it: %s', (text, address) => {
    expect(readEmailAddress(text)).toEqual({ address });
  });
});

describe('what is no address is told what is the matter with it', () => {
  test.each([
    ['ada', 'must be an e-mail address'],
    ['', 'must be an e-mail address'],
    [' ada@example.com', 'spaces around'],
    ['ada@example.com\n', 'spaces around'],
    ['@example.com', 'nothing before the @'],
    ['ada@', 'nothing after the @'],
    ['Ada <ada@example.com>', 'space before the @'],
    ['a@b@example.com', 'between quotes'],
    ['ada..l@example.com', 'two in a row'],
    ['.ada@example.com', 'a dot at the beginning'],
    ['"ada@example.com', 'not closed'],
    ['"a\\"b"@example.com', 'a backslash'],
    ['"a<b>"@example.com', 'holds a quote, a backslash, < or >'],
    ['адa@example.com', 'SMTPUTF8'],
    ['ada@[192.0.2.1]', 'by its IP address'],
    ['ada@192.0.2.1', 'no valid domain'],
    ['ada@example', 'no valid domain'],
    ['ada@-example.com', 'no valid domain'],
    ['ada@ex_ample.com', 'no valid domain'],
    ['ada@example.com.', 'no valid domain'],
    ['ada@ex%61mple.com', 'no valid domain'],
    ['ada@xn--bcher-kva.example/x y>', 'no valid domain'],
    ['ada@xn--bcher-kva.example#', 'no valid domain'],
    ['ada@xn--bcher-kva.exam\tple', 'no valid domain'],
    ['ada@xn--bcher-kva.example?to=eve', 'no valid domain'],
    ['ada@bücher.example/evil.example', 'no valid domain'],
    ['ada@evil%2eexample.bücher.example', 'no valid domain'],
    ['ada@bücher.exam\nple', 'no valid domain'],
    [`ada@${'b'.repeat(64)}.com`, 'no valid domain'],
    [`${'a'.repeat(65)}@example.com`, 'more than 64 characters before the @'],
    [`${'a'.repeat(60)}@${'b.'.repeat(100)}com`, 'more than 254 characters'],
  ])('%s', (text, sentence) => {
    expect(readEmailAddress(text)).toEqual({ problem: expect.stringContaining(sentence) });
  });
});
