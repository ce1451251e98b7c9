import { describe, expect, test } from '@jest/globals';
import { parseMailFrom } from '../../../services/runtime/mail-from.ts';

describe('a sender that is valid stays one, whatever its name is made of', () => {
  test.each([
    ['gifts@mail.example.com', '', 'gifts@mail.example.com'],
    ['Gifts <gifts@example.com>', 'Gifts', 'gifts@example.com'],
    ['Gifts: the best, "really" <gifts@example.com>', 'Gifts: the best, "really"', 'gifts@example.com'],
    ['"Gifts, Inc." <gifts@example.com>', 'Gifts, Inc.', 'gifts@example.com'],
    [String.raw`"A \"B\" @ C" <gifts@example.org>`, 'A "B" @ C', 'gifts@example.org'],
    ['Geschenke für alle <gifts@bücher.example>', 'Geschenke für alle', 'gifts@xn--bcher-kva.example'],
    ['gifts+news@localhost', '', 'gifts+news@localhost'],
  ])('%s', (text, name, address) => {
    expect(parseMailFrom(text)).toEqual({ name, address, domain: address.slice(address.indexOf('@') + 1) });
  });
});

describe('what can be no sender is refused at start, with the reason', () => {
  test.each([
    ['Gifts', /address/],
    ['Gifts <gifts>', /address/],
    ['@example.com', /address/],
    ['gifts@', /domain/],
    ['gifts@exa mple.com', /domain/],
    ['gifts@example.com/path', /domain/],
    ['gifts@example.com:25', /domain/],
    ['gifts@ex%61mple.com', /domain/],
    ['Gifts\u202e <gifts@example.com>', /direction of writing/],
    ['a@b@example.com', /ASCII letters/],
    ['geschenke für@example.com', /ASCII letters/],
    ['.gifts@example.com', /ASCII letters/],
    ['gifts@example.com\r\nBcc: eve@example.com', /line break/],
    ['Gifts\u2028 <gifts@example.com>', /line break/],
    ['=?utf-8?B?UGF5UGFs?= <gifts@example.com>', /encoded text/],
    ['"=?utf-8?Q?a?=" <gifts@example.com>', /encoded text/],
    [`${'x'.repeat(201)} <gifts@example.com>`, /200 characters/],
    ['A <a@example.com>, B <b@example.com>', /address|ASCII/],
  ])('%j', (text, why) => {
    const parsed = parseMailFrom(text);
    expect('problem' in parsed && parsed.problem).toMatch(why);
  });
});
