import type { IncomingMessage } from 'node:http';
import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Who stands before the API: nobody, so many proxies, or proxies in these networks. */
export type TrustedProxies = false | number | string[];

/**
 * The network that a request comes from, as one text per network however its address was written: what is no address never
 * becomes a key, or whoever may choose it would have as many budgets as they like.
 *
 * An entry of X-Forwarded-For that can't be read counts for nothing: the budget is then that of whoever holds the
 * connection. Ports (`203.0.113.8:4711`, `[::1]:80`), which some proxies write, are taken away.
 */
export function networkReader(trusted: TrustedProxies): (request: IncomingMessage) => string {
  const trusts = trustOf(trusted);
  return (request) => {
    const peer = readAddress(request.socket.remoteAddress ?? '');
    if (!peer) return 'unknown';
    return networkOf(clientOf(peer, forwardedFor(request), trusts));
  };
}

/** A list of networks as {@link TrustedProxies} has them. @throws Error naming what is no network */
export function readNetworks(text: string): string[] {
  const networks = text.split(',').map((network) => network.trim());
  for (const network of networks) toRanges(network);
  return networks;
}

/** One subscriber has one IPv4 address, but a whole /64 of IPv6: by single address such a budget would have no end. */
export function networkOf(address: Address): string {
  const v4 = heldIPv4(address);
  if (v4) return v4.toString();
  const { parts } = address as ipaddr.IPv6;
  return parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':');
}

/** An address with or without port, brackets and zone; null for everything else, `1` and `0x7f.1` included. */
function readAddress(text: string): Address | null {
  const [, v4] = /^(\d+\.\d+\.\d+\.\d+)(?::\d{1,5})?$/.exec(text) ?? [];
  if (v4 !== undefined) return ipaddr.IPv4.isValidFourPartDecimal(v4) ? ipaddr.IPv4.parse(v4) : null;
  const [, bracketed] = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(text) ?? [];
  const v6 = (bracketed ?? text).replace(/%.*$/s, '');
  if (!v6.includes(':') || !ipaddr.IPv6.isValid(v6)) return null;
  const address = ipaddr.IPv6.parse(v6);
  return address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}

/** Ways to write an IPv4 address as an IPv6 one, by the two of its eight parts that hold it. */
const holders: Readonly<Record<string, number>> = { rfc6145: 6, rfc6052: 6, '6to4': 1 };

/**
 * The subscriber behind a translator (NAT64, SIIT) or a 6to4 tunnel is the IPv4 address inside: by the /64 around it, all of them
 * would share one budget, and whoever has a tunnel would have 65,536. Only for the budget: nobody is trusted as what they hold.
 */
function heldIPv4(address: Address): ipaddr.IPv4 | null {
  if (address.kind() === 'ipv4') return address as ipaddr.IPv4;
  const { parts: all } = address as ipaddr.IPv6;
  const at = holders[address.range()];
  if (at === undefined) return null;
  const parts = all.slice(at, at + 2);
  return new ipaddr.IPv4(parts.flatMap((part) => [part >> 8, part & 0xff]));
}

type Trusts = (address: Address, hop: number) => boolean;

/** From the connection on, every trusted proxy tells who spoke to it; the first that is not trusted is the client. */
function clientOf(peer: Address, forwarded: string[], trusts: Trusts): Address {
  let client = peer;
  for (const [hop, entry] of forwarded.toReversed().entries()) {
    if (!trusts(client, hop)) break;
    const told = readAddress(entry);
    if (told === null) return peer;
    client = told;
  }
  return client;
}

function forwardedFor({ headers }: IncomingMessage): string[] {
  const header = headers['x-forwarded-for'];
  const text = Array.isArray(header) ? header.join(',') : (header ?? '');
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

function trustOf(trusted: TrustedProxies): Trusts {
  if (!Array.isArray(trusted)) return (_address, hop) => hop < Number(trusted);
  const ranges = trusted.flatMap(toRanges);
  return (address) =>
    ranges.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits));
}

const named: Readonly<Record<string, string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

function toRanges(text: string): [Address, number][] {
  return (named[text] ?? [text]).map((network) => {
    const [, base = '', length] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(network) ?? [];
    const address = readAddress(base);
    if (address === null) throw new Error(`"${network}" is no network`);
    const most = address.kind() === 'ipv4' ? 32 : 128;
    // Of an IPv4 network that is written as an IPv6 one, the length counts what is around it as well.
    const around = most === 32 && base.includes(':') ? 96 : 0;
    const bits = length === undefined ? most : Number(length) - around;
    if (bits < 0 || bits > most) throw new Error(`"${network}" is no network`);
    if (bits === 0) throw new EverybodyTrustedError(network);
    return [address, bits];
  });
}

export class EverybodyTrustedError extends Error {
  constructor(network: string) {
    super(`"${network}" is everybody: anybody could say who they are`);
    this.name = 'EverybodyTrustedError';
  }
}
