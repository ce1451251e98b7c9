import { connect } from 'node:net';

/** A request as bytes, which no HTTP client would send, and the statuses that may answer it; none for a cut connection. */
export type RawCase = { name: string; bytes: Buffer; mayAnswer: readonly number[] };

/** Stands in everything that is sent: no log line may hold it. */
export const marker = 'zqx-marker-7741';

/** What HTTP, JSON and UTF-8 forbid, and what they only just allow. */
export function rawCases(key: string): RawCase[] {
  const post = (
    headers: string[],
    body: string | Buffer,
    name: string,
    mayAnswer: readonly number[],
  ): RawCase => ({
    name,
    mayAnswer,
    bytes: Buffer.concat([
      Buffer.from(
        [
          'POST /v1/gifts HTTP/1.1',
          'Host: x',
          `Authorization: Bearer ${key}`,
          `Idempotency-Key: ${crypto.randomUUID()}`,
          'Connection: close',
          ...headers,
          '',
          '',
        ].join('\r\n'),
        'latin1',
      ),
      Buffer.from(body),
    ]),
  });
  const json = (body: string | Buffer, name: string, mayAnswer: readonly number[]) =>
    post(
      ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`],
      body,
      name,
      mayAnswer,
    );
  const line = (text: string, name: string, mayAnswer: readonly number[]): RawCase => ({
    name,
    mayAnswer,
    bytes: Buffer.from(text, 'latin1'),
  });
  const get = (path: string, headers: string, name: string, mayAnswer: readonly number[]) =>
    line(
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${key}\r\n${headers}\r\n`,
      name,
      mayAnswer,
    );
  const refused = [400, 415, 422];
  return [
    line(`${marker}\r\n\r\n`, 'no request line', [400]),
    line(`GET / HTTP/9.9\r\nHost: ${marker}\r\n\r\n`, 'a version that is none', [400, 505]),
    line(`GET /${marker} HTTP/1.1\r\n\r\n`, 'no host', [400]),
    line(`GET /${marker}\0 HTTP/1.1\r\nHost: x\r\n\r\n`, 'a NUL in the path', [400]),
    line(`G\xc3\xa9T / HTTP/1.1\r\nHost: x\r\n\r\n`, 'a method that is none', [400]),
    line(`GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(100_000)}\r\n\r\n`, 'a header of 100 kB', [431]),
    line(`GET / HTTP/1.1\r\nHost: x\r\n${'X: 1\r\n'.repeat(3_000)}\r\n`, '3,000 headers', [400, 404, 431]),
    line(`GET /${'a'.repeat(50_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 'a path of 50 kB', [414, 431]),
    line(`CONNECT ${marker}:443 HTTP/1.1\r\nHost: x\r\n\r\n`, 'CONNECT', []),
    line(`GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, 'an asterisk', [400, 404]),
    line(
      `GET http://${marker}/v1/gifts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      'an absolute address',
      [401, 404],
    ),
    line(
      `GET //${marker}/%00/..%2f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      'slashes and dots',
      [404],
    ),
    line(
      `GET /docs/..%2f..%2fpackage.json?${marker} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      'a way out of the documents',
      [400, 403, 404],
    ),
    get(`/claim/${marker}%ff`, '', 'a path that is no UTF-8', [404]),
    get(`/v1/gifts?external_id=${marker}%ff`, '', 'a query that is no UTF-8', [422]),
    get(`/v1/gifts?external_id=${marker}\xff`, '', 'raw bytes in a query', [200, 400, 422]),
    get(`/v1/gifts?${'limit=1&'.repeat(2_000)}`, '', 'a parameter 2,000 times', [422, 431]),
    get(`/v1/gifts?__proto__[a]=${marker}&constructor=1`, '', 'prototypes in a query', [422]),
    get('/v1/gifts', `X-Request-Id: ${marker} \xff\r\n`, 'a request id that is none', [200]),
    get('/v1/gifts', `traceparent: 00-${marker}-1-01\r\n`, 'a traceparent that is none', [200]),
    get('/v1/gifts', `X-Forwarded-For: ${marker}, ::::, 999.1.1.1:x\r\n`, 'a client that is none', [200]),
    get('/v1/gifts', `Accept: ${marker};q=x,,\r\nAccept-Language: \xff\r\n`, 'an Accept that is none', [200]),
    get('/v1/gifts', `Authorization: Basic ${marker}\r\n`, 'two authorizations', [200, 400, 401]),
    get('/v1/gifts', `Cookie: ${marker}=\xff;;=\r\nRange: bytes=${marker}\r\n`, 'cookies and ranges', [200]),
    get('/v1/gifts', `Expect: ${marker}\r\n`, 'an expectation that is none', [200, 417]),
    get('/v1/gifts', `Upgrade: ${marker}\r\n`, 'an upgrade', [200, 400]),
    json(`{"message":"${marker}`, 'half of a body', [400]),
    json('', 'an empty body', [400]),
    json(Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 'bytes that are no UTF-8', [400]),
    json(Buffer.from(`{"message":"${marker}"}`, 'utf16le'), 'UTF-16', [400]),
    json(`{"message":"${marker}","message":"b"}`, 'a key twice', [400]),
    json(`{"message":"${marker}","mess\\u0061ge":"b"}`, 'a key twice, once escaped', [400]),
    json(`{"message":"${marker}\\ud800"}`, 'a lone surrogate', [422]),
    json(`{"message":"${marker}\\u0000"}`, 'a NUL', [422]),
    json(`{"__proto__":{"${marker}":1}}`, 'a prototype', [422]),
    json(`{"constructor":{"prototype":{"${marker}":1}}}`, 'a constructor', [422]),
    json('['.repeat(60_000), 'open brackets', [400]),
    json(`${'['.repeat(30_000)}${']'.repeat(30_000)}`, 'nested arrays', [422]),
    json(`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`, 'nested objects', [422]),
    json('{"value":{"amount":1e999,"currency":"EUR"}}', 'a number beyond all', [422]),
    json(`{"value":{"amount":${'9'.repeat(60_000)}}}`, 'a number of 60,000 digits', [422]),
    json('{"value":{"amount":-0,"currency":"EUR"}}', 'minus zero', [422]),
    json('{"value":{"amount":NaN}}', 'no number', [400]),
    json(`"${'a'.repeat(70_000)}"`, 'a body too large', [413]),
    json(`{${Array.from({ length: 5_000 }, (_, i) => `"k${i}":1`).join()}}`, '5,000 fields', [413, 422]),
    json(`{"recipient":{"type":"wallet","address":"${marker}.eth"}}`, 'a name for a wallet', [422]),
    json(`{"recipient":{"type":"email","email":"${marker}@"}}`, 'half of an address', [422]),
    post(
      [`Content-Type: application/json; charset=${marker}`, 'Content-Length: 2'],
      '{}',
      'a charset that is none',
      [415],
    ),
    post(
      ['Content-Type: application/json; charset', 'Content-Length: 2'],
      '{}',
      'half of a charset',
      refused,
    ),
    post([`Content-Type: ${marker}`, 'Content-Length: 2'], '{}', 'a type that is none', [415]),
    post(['Content-Length: 2'], '{}', 'no type', [415]),
    post(
      ['Content-Type: application/json', 'Content-Encoding: gzip', 'Content-Length: 9'],
      marker.slice(0, 9),
      'a gzip that is none',
      [400],
    ),
    post(
      ['Content-Type: application/json', `Content-Encoding: ${marker}`, 'Content-Length: 2'],
      '{}',
      'an encoding that is none',
      [415],
    ),
    post(
      ['Content-Type: application/json', 'Content-Length: 2', 'Content-Length: 3'],
      '{} ',
      'two lengths',
      [400],
    ),
    post(['Content-Type: application/json', 'Content-Length: -1'], '{}', 'a length below zero', [400]),
    post(
      ['Content-Type: application/json', `Content-Length: ${marker}`],
      '{}',
      'a length that is none',
      [400],
    ),
    post(
      ['Content-Type: application/json', 'Content-Length: 2', 'Transfer-Encoding: chunked'],
      '0\r\n\r\n',
      'length and chunks',
      [400],
    ),
    post(
      ['Content-Type: application/json', 'Transfer-Encoding: chunked'],
      `${marker}\r\n`,
      'chunks that are none',
      [400],
    ),
    post(
      ['Content-Type: application/json', 'Transfer-Encoding: gzip, identity'],
      '{}',
      'an unknown transfer',
      [400, 501],
    ),
    post(
      ['Content-Type: application/json', 'Content-Length: 2', `Idempotency-Key: ${marker}`],
      '{}',
      'two keys',
      [422],
    ),
    post(
      ['Content-Type: application/json', 'Content-Length: 2', ` folded: ${marker}`],
      '{}',
      'a folded header',
      [400, 422],
    ),
  ];
}

/** Breaks well-formed requests at random: bytes changed, left out, doubled. */
export function brokenAtRandom(key: string, count: number, random: () => number): RawCase[] {
  const whole = rawCases(key);
  return Array.from({ length: count }, (_, index) => {
    const of = whole[Math.floor(random() * whole.length)] as RawCase;
    const bytes = Buffer.from(of.bytes);
    for (let change = 0; change < 1 + random() * 4; change += 1) {
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    }
    const cut = random() < 0.2 ? bytes.subarray(0, Math.floor(random() * bytes.length)) : bytes;
    return { name: `${of.name}, broken (${index})`, bytes: cut, mayAnswer: anything };
  });
}

/** Everything but a fault of ours. */
const anything: readonly number[] = Array.from({ length: 300 }, (_, index) => 200 + index);

/** @returns what is wrong with the answer, or null */
export async function sendRaw(url: string, { bytes, mayAnswer }: RawCase): Promise<string | null> {
  // What was broken at random may be no whole request any more, and wait for its rest for ever.
  const answer = await exchange(new URL(url), bytes, mayAnswer === anything ? 2_000 : 25_000);
  const statuses = [...answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
  const [status] = statuses.filter((one) => one >= 200);
  if (status === undefined) return mayAnswer === anything || mayAnswer.length === 0 ? null : 'not answered';
  if (answer.includes(marker) && /problem\+json/.test(answer)) return 'the answer quotes what was sent';
  return mayAnswer.includes(status) ? null : `answered ${status}`;
}

/** What comes back until the connection ends, or nothing more comes. */
function exchange({ hostname, port }: URL, bytes: Buffer, patienceMs: number): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    socket.setTimeout(patienceMs, () => socket.destroy());
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      socket.setTimeout(1_000);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
  });
}
