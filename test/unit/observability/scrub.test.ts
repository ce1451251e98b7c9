import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { scrubText } from '../../../services/observability/scrub.ts';

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const WALLET = '0x52908400098527886E0F7030069857D2E4169EE7';

const symbols = (length: number) =>
  fc.string({ unit: fc.constantFrom(...CROCKFORD), minLength: length, maxLength: length });
const voucherCode = fc
  .tuple(
    symbols(5),
    symbols(5),
    symbols(5),
    symbols(5),
    fc.constantFrom(...CROCKFORD, '*', '~', '$', '=', 'U'),
  )
  .map((groups) => groups.join('-'));
const around = fc.constantFrom(
  ['550 <', '>: user unknown'],
  ['recipient=', ''],
  ['{"to":"', '"}'],
  ['mailto:', '?subject=x'],
  ['(', ')'],
  ['', ', and another'],
  ['https://gifts.example.com/?q=', '&r=1'],
) as fc.Arbitrary<[string, string]>;

describe('P59: a text written by others leaves the process without personal data', () => {
  test('P59: no e-mail address survives, whatever stands around it', () => {
    fc.assert(
      fc.property(fc.emailAddress(), around, (address, [before, after]) => {
        const scrubbed = scrubText(`${before}${address}${after}`);
        expect(scrubbed).not.toContain(address);
        expect(scrubbed).not.toContain(`${address.split('@')[0]}@`);
        expect(scrubbed).toContain('[email]');
      }),
    );
  });

  test('P59: no e-mail address survives when it is percent-encoded', () => {
    fc.assert(
      fc.property(fc.emailAddress(), (address) => {
        const encoded = encodeURIComponent(address);
        expect(scrubText(`GET /search?email=${encoded}&page=2`)).not.toContain(encoded);
      }),
    );
  });

  test.each([
    'bob+gifts@example.com',
    "o'hara@example.ie",
    'postmaster@[192.0.2.1]',
    'bob@localhost',
    '用户@例子.广告',
    'bounce+bob=example.com@relay.example.net',
    '"john smith"@example.com',
    `${'a'.repeat(200)}@example.com`,
  ])('P59: the address %s goes whole', (address) => {
    const scrubbed = scrubText(`550 5.1.1 <${address}>: Recipient address rejected`);
    expect(scrubbed).toBe('550 5.1.1 <[email]>: Recipient address rejected');
  });

  test('P59: no wallet address survives, in any case, alone or as CAIP-10', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'0123456789abcdefABCDEF'), minLength: 40, maxLength: 40 }),
        (hex) => {
          for (const text of [`0x${hex}`, `eip155:1:0x${hex}`, `0X${hex}.`, `{"address":"0x${hex}"}`]) {
            expect(scrubText(text)).not.toContain(hex);
          }
        },
      ),
    );
  });

  test('P59: no voucher code survives, as shown or as typed', () => {
    fc.assert(
      fc.property(voucherCode, around, (code, [before, after]) => {
        for (const typed of [
          code,
          code.toLowerCase(),
          code.replaceAll('-', ' '),
          code.replaceAll('-', '–'),
        ]) {
          expect(scrubText(`${before}${typed}${after}`)).not.toContain(typed.slice(0, 23));
        }
      }),
    );
    expect(scrubText('code 7ZQ4M2K9XW1B3C5D7E9FA refused')).toBe('code [code] refused');
  });

  test.each([
    ['Authorization: Bearer opaque0Token', 'Authorization: Bearer [token]'],
    ['Basic dXNlcjpwYXNzd29yZA==', 'Basic [token]'],
    ['key lgk_4f7a_S3cr3t-with.signs/and+more= is unknown', 'key [api_key] is unknown'],
    ['clt_01jz7k3h6efkq8r6g2m4t3n5xw01jz7k3h6efkq8r6g2m4t3n5xw', '[token]'],
    [
      'GET https://g.example.com/claim/abcDEF123?lang=de 200',
      'GET https://g.example.com/claim/[token]?lang=de 200',
    ],
    ['jwt eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.c2ln.', 'jwt [token].'],
    [
      'connect postgres://app:hunter2@db:5432/largesse failed',
      'connect postgres://[credentials]@db:5432/largesse failed',
    ],
    [`private key 0x${'ab'.repeat(32)}`, 'private key [wallet]'],
  ])('P59: %s', (text, expected) => {
    expect(scrubText(text)).toBe(expected);
  });
});

test.each([
  'gft_01jz7k3h6efkq8r6g2m4t3n5xw is queued',
  'sen_01jz7k3h6efkq8r6g2m4t3n5xw key_01jz7k3h6efkq8r6g2m4t3n5xw',
  '0198f3c2-7b1d-7c3e-9f21-52b1c0a4e5d6',
  '4bf92f3577b34da6a3ce929d0e0e4736',
  '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  'Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1',
  'at send (file:///app/node_modules/@aws-sdk/client-sqs/dist-es/index.js:12:3)',
  'arn:aws:sqs:eu-central-1:000000000000:largesse-gifts-dlq',
  'https://sqs.eu-central-1.amazonaws.com/000000000000/largesse-gifts',
  'nanoid V1StGXR8Z5jdHi6BmyT2q',
  'Basic authentication is switched off; bearer tokens only',
  '2026-11-21T03:06:44.791Z 0x1f',
])('what is no personal data stays as it is: %s', (text) => {
  expect(scrubText(text)).toBe(text);
});

test('what was scrubbed once is not scrubbed further', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.emailAddress(), voucherCode, fc.constant(WALLET), fc.lorem())),
      (parts) => {
        const once = scrubText(parts.join(' '));
        expect(scrubText(once)).toBe(once);
      },
    ),
  );
});

test.each([
  'a',
  '@',
  '0x',
  'eyJ',
  'eyJ.',
  '://',
  'Bearer ',
  '"',
  '/claim/',
  'lgk_',
  'A1B2C-',
  'ABCDE ',
  '%40',
  '\\"',
  ' ',
])('half a million characters of %j take linear time (quadratic would run for minutes)', (unit) => {
  const scrubbed = scrubText(`@${unit.repeat(500_000 / unit.length)}`);
  expect(scrubbed.length).toBeLessThanOrEqual(1_000_000);
});
