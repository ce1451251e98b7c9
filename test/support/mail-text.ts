/** A mail as its recipient sees it. Made for what our own mailer writes, not for whatever else there is. */
export interface ReceivedMail {
  raw: string;
  /** Names in lower case; folded lines joined, encoded words decoded. */
  headers: ReadonlyMap<string, string>;
  to: string[];
  messageId: string;
  subject: string;
  text: string;
  html: string;
  /** The claim link of the text part; empty when there is none. */
  link: string;
}

export function readMail(raw: string, to: string[]): ReceivedMail {
  const { headers, body } = split(raw);
  const parts = partsOf(headers, body);
  const partOf = (type: string) =>
    parts.find((part) => headerOf(part.headers, 'content-type').startsWith(type));
  const text = decodeBody(partOf('text/plain'));
  return {
    raw,
    headers,
    to,
    messageId: headerOf(headers, 'message-id'),
    subject: headerOf(headers, 'subject'),
    text,
    html: decodeBody(partOf('text/html')),
    link: /https?:\/\/\S+\/claim\/\S+/.exec(text)?.[0] ?? '',
  };
}

interface Part {
  headers: ReadonlyMap<string, string>;
  body: string;
}

function split(raw: string): Part {
  const [head = '', ...rest] = raw.replaceAll('\r\n', '\n').split('\n\n');
  const lines = head.replaceAll(/\n[ \t]+/g, ' ').split('\n');
  const headers = new Map(
    lines.map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at).toLowerCase(), decodeWords(line.slice(at + 1).trim())] as const;
    }),
  );
  return { headers, body: rest.join('\n\n') };
}

function partsOf(headers: ReadonlyMap<string, string>, body: string): Part[] {
  const boundary = /boundary="?([^";]+)"?/.exec(headerOf(headers, 'content-type'))?.[1];
  if (boundary === undefined) return [{ headers, body }];
  return body
    .split(`--${boundary}`)
    .slice(1, -1)
    .map((part) => split(part.replace(/^\n/, '')));
}

function decodeBody(part: Part | undefined): string {
  if (part === undefined) return '';
  const encoding = headerOf(part.headers, 'content-transfer-encoding');
  if (encoding === 'base64') return Buffer.from(part.body, 'base64').toString('utf8');
  return encoding === 'quoted-printable' ? decodeQuoted(part.body.replaceAll('=\n', '')) : part.body;
}

function decodeWords(value: string): string {
  return value
    .replaceAll(/\?=\s+=\?/g, '?==?')
    .replaceAll(/=\?utf-8\?([QB])\?([^?]*)\?=/gi, (_word, encoding: string, text: string) =>
      encoding.toUpperCase() === 'B'
        ? Buffer.from(text, 'base64').toString('utf8')
        : decodeQuoted(text.replaceAll('_', ' ')),
    );
}

function decodeQuoted(text: string): string {
  const bytes = text.replaceAll(/=([0-9A-F]{2})/gi, (_match, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function headerOf(headers: ReadonlyMap<string, string>, name: string): string {
  return headers.get(name) ?? '';
}
