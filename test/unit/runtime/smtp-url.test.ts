import { describe, expect, test } from '@jest/globals';
import { parseSmtpUrl } from '../../../services/runtime/smtp-url.ts';

describe('TLS is required unless the URL says otherwise in words', () => {
  test.each([
    ['smtp://mail.example.com', { port: 587, secure: false, tls: 'required' }],
    ['smtp://127.0.0.1:1025', { port: 1025, secure: false, tls: 'required' }],
    ['smtp://mail.example.com?tls=required', { secure: false, tls: 'required' }],
    ['smtps://mail.example.com', { port: 465, secure: true, tls: 'required' }],
    ['smtp://mail.example.com:25?tls=opportunistic', { port: 25, tls: 'opportunistic' }],
    ['smtp://localhost:1025?tls=none', { tls: 'none' }],
  ])('%s', (url, expected) => {
    expect(parseSmtpUrl(url)).toMatchObject(expected);
  });

  test.each([
    'smtp://mail.example.com?tls=off',
    'smtp://mail.example.com?tls=',
    'smtp://mail.example.com?tls=none&tls=required',
    'smtp://mail.example.com?ignoreTLS=true',
    'smtp://mail.example.com?requireTLS=false',
    'smtp://mail.example.com?tls.rejectUnauthorized=false',
    'smtp://mail.example.com?TLS=none',
    'smtps://mail.example.com?tls=none',
    'smtps://mail.example.com?tls=opportunistic',
    'http://mail.example.com',
    'smtp://',
    'mail.example.com:587',
  ])('no other word decides about it: %s is refused', (url) => {
    expect(parseSmtpUrl(url)).toEqual({ problem: expect.any(String) });
  });
});

test('user, password and host come out as they were meant, and no problem quotes them', () => {
  expect(parseSmtpUrl('smtps://user%40example.com:p%2Fss%3A%20@mail.example.com')).toMatchObject({
    auth: { user: 'user@example.com', pass: 'p/ss: ' },
  });
  expect(parseSmtpUrl('smtp://[::1]:2525?tls=none')).toMatchObject({ host: '::1', port: 2525 });
  expect(parseSmtpUrl('smtp://bücher.example')).toMatchObject({ host: 'xn--bcher-kva.example' });
  expect(JSON.stringify(parseSmtpUrl('smtp://user:secret@mail.example.com?x=1'))).not.toContain('secret');
});

test('a password that is no percent-encoding is a problem and no crash', () => {
  expect(parseSmtpUrl('smtp://user:100%@mail.example.com')).toEqual({ problem: expect.any(String) });
});
