import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { findRefusedText, isCarriable, jsonPointer } from '../../../services/api/middleware/text.ts';
import { html, page } from '../../../services/api/routes/claims/html.ts';

describe('text that can be carried', () => {
  test('P24: exactly the characters of XML 1.0', () => {
    const allowed = (code: number) =>
      code === 9 ||
      code === 10 ||
      code === 13 ||
      (code >= 0x20 && code <= 0xd7ff) ||
      (code >= 0xe000 && code <= 0xfffd) ||
      code >= 0x10000;
    for (let code = 0; code <= 0xffff; code += 1) {
      expect([code, isCarriable(String.fromCharCode(code))]).toEqual([code, allowed(code)]);
    }
    expect(isCarriable('\u{10000}\u{10ffff}')).toBe(true);
  });

  test('P24: whatever is carriable survives JSON and UTF-8', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        fc.pre(isCarriable(text));
        expect(JSON.parse(Buffer.from(JSON.stringify(text)).toString())).toBe(text);
      }),
    );
  });

  test('is found wherever it stands, in values and in keys', () => {
    const body = { a: ['x', { 'b\u0000': 1, c: 'y\ud800' }], d: 'fine' };
    expect(findRefusedText(body).map(({ path }) => jsonPointer(path))).toEqual(['/a/1/b\u0000', '/a/1/c']);
  });

  test('RFC 6901 pointers lead back to where they came from', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (path) => {
        const parts = jsonPointer(path)
          .split('/')
          .slice(1)
          .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
        expect(parts).toEqual(path);
      }),
    );
  });
});

test('whatever a value holds, a page has no element and no attribute of its making', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const { markup } = html`<p title="${text}">${text}</p>`;
      expect(markup.match(/</g)).toHaveLength(2);
      expect(markup.match(/"/g)).toHaveLength(2);
    }),
  );
  expect(page('<b>', html`<p>x</p>`)).toContain('<title>&#60;b&#62;</title>');
});
