import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  networkReader,
  readNetworks,
  type TrustedProxies,
} from '../../../services/api/middleware/client-address.ts';

const networkOf = (trusted: TrustedProxies, peer: string | undefined, forwarded?: string | string[]) =>
  networkReader(trusted)({
    socket: { remoteAddress: peer },
    headers: { 'x-forwarded-for': forwarded },
  } as unknown as IncomingMessage);

describe('one network has one key, however its address is written', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['192.0.2.7:4711', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:C000:207', '192.0.2.7'],
    ['[::ffff:192.0.2.7]:80', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:DB8:0001:0002::6', '2001:db8:1:2'],
    ['[2001:db8:1:2::7]:443', '2001:db8:1:2'],
    ['[2001:db8:1:2::8]', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['[::1]:80', '0:0:0:0'],
    ['64:ff9b::192.0.2.7', '192.0.2.7'],
    ['[64:ff9b::c000:207]:443', '192.0.2.7'],
    ['::ffff:0:192.0.2.7', '192.0.2.7'],
    ['2002:c000:207::1', '192.0.2.7'],
    ['2002:c000:207:ffff::1', '192.0.2.7'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['[fe80::1%25eth0]:80', 'fe80:0:0:0'],
  ])('%s is of %s', (text, network) => {
    expect(networkOf(1, '10.0.0.1', text)).toBe(network);
  });
});

describe('what is no address is nobody’s key: the budget is that of the connection', () => {
  test.each([
    'unknown',
    '_hidden',
    '"192.0.2.7"',
    '192.0.2.7:port',
    '192.0.2.7:123456',
    '192.0.2.256',
    '192.0.2.07',
    '192.0.2',
    '3221225991',
    '0xc0000207',
    '0x7f.1',
    '192.0.2.7/24',
    '[::1',
    '::1]:80',
    ':::1',
    '2001:db8::1::2',
    'localhost',
    'for=192.0.2.7',
    '٢.٠.٢.٧',
    'x'.repeat(5_000),
  ])('%s', (text) => {
    expect(networkOf(1, '10.0.0.1', text)).toBe('10.0.0.1');
    expect(networkOf(1, '10.0.0.1', `192.0.2.9, ${text}`)).toBe('10.0.0.1');
    expect(networkOf(['10.0.0.0/8'], '10.0.0.1', text)).toBe('10.0.0.1');
  });

  test('whatever is said, a key is an address or a /64, and of a connection without one there is one key', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(networkOf(2, '10.0.0.1', `${text}, 10.0.0.2`)).toMatch(
          /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f]{1,4}(:[0-9a-f]{1,4}){3})$/,
        );
      }),
    );
    expect([networkOf(1, undefined, '192.0.2.7'), networkOf(false, undefined)]).toEqual([
      'unknown',
      'unknown',
    ]);
  });
});

describe('X-Forwarded-For is believed as far as proxies are trusted', () => {
  const list = '192.0.2.1, 192.0.2.2, 192.0.2.3';
  test.each<[TrustedProxies, string, string]>([
    [false, '10.0.0.1', '10.0.0.1'],
    [0, '10.0.0.1', '10.0.0.1'],
    [1, '10.0.0.1', '192.0.2.3'],
    [2, '10.0.0.1', '192.0.2.2'],
    [9, '10.0.0.1', '192.0.2.1'],
    [['10.0.0.0/8'], '10.0.0.1', '192.0.2.3'],
    [['10.0.0.1', '192.0.2.3'], '10.0.0.1', '192.0.2.2'],
    [['10.0.0.0/8', '192.0.2.0/24'], '10.0.0.1', '192.0.2.1'],
    [['10.0.0.0/8'], '198.51.100.1', '198.51.100.1'],
    [['uniquelocal'], '::ffff:10.0.0.1', '192.0.2.3'],
    [['loopback'], '127.0.0.9', '192.0.2.3'],
    [['fd00::/8'], 'fd00::1', '192.0.2.3'],
    [['::ffff:10.0.0.0/104'], '10.0.0.1', '192.0.2.3'],
    [['::ffff:10.0.0.1'], '10.0.0.1', '192.0.2.3'],
    [['10.0.0.0/8'], '64:ff9b::10.0.0.1', '10.0.0.1'],
    [['10.0.0.0/8'], '2002:a00:1::1', '10.0.0.1'],
  ])('trusting %j, from %s, the client is %s', (trusted, peer, client) => {
    expect(networkOf(trusted, peer, list)).toBe(client);
    expect(networkOf(trusted, peer, list.split(', '))).toBe(client);
    expect(networkOf(trusted, peer, ` ,${list.replaceAll(' ', '')},, `)).toBe(client);
  });

  test('networks that are none are refused at start', () => {
    expect(readNetworks('10.0.0.0/8, loopback,fd00::/8,192.0.2.1')).toHaveLength(4);
    for (const text of [
      '',
      ',',
      '10.0.0.0/33',
      '999.0.0.0/8',
      'true',
      'everyone',
      '10.0.0.0/8,',
      ':::/8',
      '10/8',
      '0x0a000000/8',
      '012.0.0.0/8',
      '10.0.0.0/-1',
      '::ffff:10.0.0.0/8',
      '10.0.0.0/8/8',
    ]) {
      expect(() => readNetworks(text)).toThrow('is no network');
    }
  });

  test('everybody is no network of proxies: anybody could say who they are', () => {
    for (const text of ['0.0.0.0/0', '::/0', '10.0.0.0/8, 0.0.0.0/0', '::ffff:0.0.0.0/96']) {
      expect(() => readNetworks(text)).toThrow('is everybody');
    }
  });
});
