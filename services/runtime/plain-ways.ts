import { isIPv4 } from 'node:net';

type Ways = { PUBLIC_URL?: string; AWS_ENDPOINT_URL_SQS?: string | undefined };

/**
 * What is configured to travel in the clear between machines, for the log of a start: `http:` may be meant, behind something
 * that encrypts, and is easily left over from a trial.
 */
export function plainWays(config: Ways): { variable: keyof Ways; what: string }[] {
  return ways.filter(({ variable }) => isPlain(config[variable]));
}

const ways: readonly { variable: keyof Ways; what: string }[] = [
  { variable: 'PUBLIC_URL', what: 'claim links, voucher codes and API keys' },
  { variable: 'AWS_ENDPOINT_URL_SQS', what: 'messages, and the session token of temporary credentials' },
];

function isPlain(text: string | undefined): boolean {
  const url = text === undefined ? null : URL.parse(text);
  return url?.protocol === 'http:' && !isHere(url.hostname);
}

function isHere(host: string): boolean {
  if (host === 'localhost' || host === '[::1]' || host.endsWith('.localhost')) return true;
  return isIPv4(host) && host.startsWith('127.');
}

/** Says so once at the start. */
export function tellPlainWays(
  log: { warn: (message: string, fields: Readonly<Record<string, unknown>>) => void },
  config: Ways,
): void {
  for (const { variable, what } of plainWays(config)) {
    log.warn(`${variable} is http: ${what} travel in the clear, unless something on the way encrypts them`, {
      event: 'unprotected_way',
      variable,
    });
  }
}
