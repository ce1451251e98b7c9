import type { IncomingHttpHeaders, ServerResponse } from 'node:http';

export type Json = Record<string, unknown>;

export interface UpstreamAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

/** One request on its way through the proxy: what a fault may look at and do. */
export interface Exchange {
  operation: string;
  /** The parsed request body. */
  body(): Json;
  /** Sends the request on, with another body if one is given; may be left out, or done before the answer is lost. */
  forward(body?: Json): Promise<UpstreamAnswer>;
  /** Passes an upstream answer to the client, with another body if one is given. */
  send(answer: UpstreamAnswer, body?: Json): void;
  /** Answers without upstream. */
  respond(status: number, body: Json, headers?: Record<string, string>): void;
  /** Cuts the connection; the client sees ECONNRESET. */
  reset(): void;
}

/**
 * A duplicate must carry its own receipt handle, as in SQS; this marks it. It is taken off again on the way upstream,
 * so that deletes and visibility changes through a duplicate's handle work.
 */
export const DUPLICATE_MARK = '.duplicate-';
const MARKED_HANDLE = /\.duplicate-\d+/g;

export function createExchange(
  operation: string,
  raw: string,
  res: ServerResponse,
  forwardRaw: (body: string) => Promise<UpstreamAnswer>,
): Exchange {
  let parsed: Json | undefined;
  function answer(status: number, text: string, headers: Record<string, string | string[] | undefined>) {
    if (res.destroyed) return;
    res.writeHead(status, { ...headers, 'content-length': String(Buffer.byteLength(text)) });
    res.end(text);
  }
  return {
    operation,
    body() {
      parsed ??= JSON.parse(raw || '{}') as Json;
      return parsed;
    },
    forward: (body) => forwardRaw((body ? JSON.stringify(body) : raw).replace(MARKED_HANDLE, '')),
    send(upstream, body) {
      const { 'transfer-encoding': _chunked, connection: _hopByHop, ...headers } = upstream.headers;
      answer(upstream.status, body ? JSON.stringify(body) : upstream.text, headers);
    },
    respond: (status, body, headers = {}) =>
      answer(status, JSON.stringify(body), { 'content-type': 'application/x-amz-json-1.0', ...headers }),
    reset: () => void res.socket?.resetAndDestroy(),
  };
}
