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
  if (address.kind() === 'ipv4') return address.toString();
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
    if (ipaddr.isValidCIDR(network)) return ipaddr.parseCIDR(network);
    const address = readAddress(network);
    if (address === null) throw new Error(`"${network}" is no network`);
    return [address, address.kind() === 'ipv4' ? 32 : 128];
  });
}
