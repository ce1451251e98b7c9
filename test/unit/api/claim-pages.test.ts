import { describe, expect, test } from '@jest/globals';
import { claimPage } from '../../../services/api/routes/claims/claim-pages.ts';
import type { ClaimLink } from '../../../services/domain/gifts/claim-link.ts';
import { newId } from '../../../services/domain/ids.ts';

const link: ClaimLink = {
  giftId: newId('gft'),
  value: { amount: 2_500, currency: 'EUR' },
  senderName: 'Charles',
  message: 'Well done,\nAda!',
  expiresAt: null,
  status: 'open',
};
const show = (change: Partial<ClaimLink>) =>
  claimPage({ ...link, ...change }, { token: 'clt_0123456789', idempotencyKey: 'key' });

describe('the claim page', () => {
  test.each([
    ['2027-02-01T00:00:00Z', '1 February 2027, 00:00 UTC'],
    ['2027-01-31T23:59:59Z', '31 January 2027, 23:59 UTC'],
  ])('says until when, with the time: %s is %s', (expiresAt, shown) => {
    const text = show({ expiresAt: new Date(expiresAt) });
    expect(text).toContain(
      `Valid until <time datetime="${expiresAt.replace('Z', '.000Z')}">${shown}</time>.`,
    );
  });

  test('neither a name nor a message turns the writing direction', () => {
    const text = show({ senderName: 'a\u202emoc.live\u202cb', message: 'one\u2067two\r\nthr\u061cee' });
    expect(text).not.toMatch(/\p{Bidi_Control}/u);
    expect(text).toContain('<h1>amoc.liveb sent you a gift</h1>');
    expect(text).toContain('<blockquote>onetwo\nthree</blockquote>');
  });

  test('a name of which nothing is left is somebody', () => {
    expect(show({ senderName: '\u202e ' })).toContain('<h1>Somebody sent you a gift</h1>');
  });
});
