import { domainToASCII } from 'node:url';

/** Where mails go, and what protects them on the way. */
export type SmtpServer = {
  host: string;
  port: number;
  /** TLS from the first byte */
  secure: boolean;
  /** `required`: without TLS that can be trusted nothing is said; the others only where the URL asks for them in words */
  tls: 'required' | 'opportunistic' | 'none';
  auth?: { user: string; pass: string };
};

/**
 * `smtp://user:password@host:587`, `smtps://…`, with `?tls=opportunistic` or `?tls=none` where claim links and the login may
 * travel in the clear. Other parameters are refused: a mistyped word must not decide about protection.
 *
 * @returns a sentence without any part of the URL when it can't be used: it holds a password
 */
export function parseSmtpUrl(text: string): SmtpServer | { problem: string } {
  const url = URL.parse(text);
  if (url === null || !['smtp:', 'smtps:'].includes(url.protocol) || url.hostname === '') {
    return { problem: 'is not a smtp:// or smtps:// URL' };
  }
  const secure = url.protocol === 'smtps:';
  const tls = url.searchParams.getAll('tls');
  const isKnown = tls.length <= 1 && ['required', 'opportunistic', 'none'].includes(tls[0] ?? 'required');
  const others = [...url.searchParams.keys()].filter((name) => name !== 'tls');
  if (!isKnown || others.length > 0) {
    return { problem: 'may have one parameter: tls=required (default), tls=opportunistic or tls=none' };
  }
  if (!isDecodable(url)) {
    return { problem: 'has a % in its user, password or host that is no percent-encoding: write it as %25' };
  }
  if (secure && tls[0] !== undefined && tls[0] !== 'required') {
    return { problem: 'asks for TLS with smtps:// and against it with tls=: choose one' };
  }
  return {
    // A URL gives an IPv6 address in brackets, and an unusual scheme keeps a name as it was written.
    host: hostOf(url.hostname),
    port: Number(url.port) || (secure ? 465 : 587),
    secure,
    tls: (tls[0] ?? 'required') as SmtpServer['tls'],
    ...authOf(url),
  };
}

function isDecodable({ username, password, hostname }: URL): boolean {
  return [username, password, hostname].every(decodes);
}

function decodes(part: string): boolean {
  try {
    decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}

function hostOf(hostname: string): string {
  if (hostname.startsWith('[')) return hostname.slice(1, -1);
  const name = decodeURIComponent(hostname);
  return domainToASCII(name) || name;
}

function authOf({ username, password }: URL): Pick<SmtpServer, 'auth'> {
  if (username === '' && password === '') return {};
  return { auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) } };
}
