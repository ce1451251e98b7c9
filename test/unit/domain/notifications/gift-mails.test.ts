import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type GiftMail, giftMail } from '../../../../services/domain/notifications/gift-mails.ts';

const gift: GiftMail = {
  senderName: 'Charles',
  value: { amount: 2_500, currency: 'EUR' },
  message: 'Well done,\nAda!',
  claimUrl: 'https://gifts.example.com/claim/clt_0123456789',
  expiresAt: new Date('2027-01-31T23:30:00Z'),
};

describe.each(['gift', 'resend', 'reminder'] as const)('the mail of a %s', (purpose) => {
  test('says who, how much, until when, and where to claim it, in text and in HTML', () => {
    const { subject, text, html } = giftMail(purpose, gift);
    expect(subject).toContain('Charles');
    expect(subject).toContain('€25.00');
    for (const body of [text, html]) {
      expect(body).toContain('Charles');
      expect(body).toContain('€25.00');
      expect(body).toContain('until 31 January 2027, 23:30 UTC');
      expect(body).toContain(gift.claimUrl);
    }
    expect(text).toContain('> Well done,\n> Ada!');
    expect(html).toContain('Well done,<br>Ada!');
  });

  test.each([
    ['2027-02-01T00:00:00Z', 'until 1 February 2027, 00:00 UTC'],
    ['2027-01-31T23:59:59Z', 'until 31 January 2027, 23:59 UTC'],
  ])('a gift that ends at %s can be claimed %s', (expiresAt, until) => {
    expect(giftMail(purpose, { ...gift, expiresAt: new Date(expiresAt) }).text).toContain(until);
  });

  test('is the same each time', () => {
    expect(giftMail(purpose, gift)).toEqual(giftMail(purpose, gift));
  });

  test('does without a message and without an end', () => {
    const { text, html } = giftMail(purpose, { ...gift, message: undefined, expiresAt: null });
    expect(text).not.toContain('>');
    expect(html).not.toContain('<blockquote');
    expect(text).not.toMatch(/null|undefined|Invalid/);
  });

  test('is HTML that a screen reader can read', () => {
    const { html } = giftMail(purpose, gift);
    expect(html).toMatch(/^<!doctype html>\n<html lang="en"/);
    expect(html.match(/<h1/g)).toHaveLength(1);
    expect(html).toMatch(/<title>[^<]+<\/title>/);
    expect(html).toMatch(/<a href="https:[^"]+"[^>]*>Claim your gift<\/a>/);
    // Nothing is fetched: no tracking, nothing that a mail client blocks.
    expect(html).not.toMatch(/<img|<script|<link|url\(/);
  });
});

describe('whatever a sender writes', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 80 }),
    fc.constantFrom(
      'Eve\r\nBcc: everybody@example.com',
      '<script>alert(1)</script>',
      '"><a href="https://evil.example">',
      "' onmouseover='x",
      'a\u202emoc.live\u202cb',
      'line\u2028break',
    ),
  );

  test('no header can be added', () => {
    fc.assert(
      fc.property(hostile, (senderName) => {
        for (const purpose of ['gift', 'resend', 'reminder'] as const) {
          expect(giftMail(purpose, { ...gift, senderName }).subject).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
        }
      }),
    );
  });

  test('no markup gets into the HTML', () => {
    const tagsOf = (html: string) => html.match(/<[^>]*>/g)?.map((tag) => tag.replace(/[\s>].*/s, ''));
    const harmless = tagsOf(giftMail('gift', { ...gift, senderName: 'x', message: 'x' }).html);
    fc.assert(
      fc.property(hostile, hostile, (senderName, text) => {
        const message = text.replaceAll(/[\r\n\u2028\u2029]/g, '') || 'x';
        expect(tagsOf(giftMail('gift', { ...gift, senderName, message }).html)).toEqual(harmless);
      }),
    );
  });

  test('no name turns the writing direction of the sentence around it', () => {
    const { subject, text } = giftMail('gift', { ...gift, senderName: 'a\u202emoc.live\u202cb' });
    expect(`${subject}${text}`).not.toMatch(/\p{Bidi_Control}/u);
  });

  test.each([
    ' \r\n ',
    '\u200b',
    '\u2800\u2800',
    '\u3164',
    '\ufeff \u00ad',
    '\u{13441}\u{16fe4}',
    '\u0336\u20dd',
  ])('a name that shows nothing is somebody: %j', (senderName) => {
    expect(giftMail('gift', { ...gift, senderName }).subject).toMatch(/^Somebody sent you/);
  });
});
