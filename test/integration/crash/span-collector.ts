import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type SpanCollector = {
  /** for OTEL_EXPORTER_OTLP_ENDPOINT */
  endpoint: string;
  /** Everything that was exported, as it came. */
  received: () => string;
  spans: () => ExportedSpan[];
  stop: () => Promise<void>;
};

export type ExportedSpan = {
  name: string;
  /** as OTLP numbers them: 3 client, 4 producer, 5 consumer */
  kind: number;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  links?: { traceId: string; spanId: string }[];
};

type Export = { resourceSpans: { scopeSpans: { spans: ExportedSpan[] }[] }[] };

/** An OTLP/HTTP collector (JSON) that keeps what it gets. */
export async function startSpanCollector(): Promise<SpanCollector> {
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      bodies.push(Buffer.concat(chunks).toString('utf8'));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received: () => bodies.join('\n'),
    spans: () =>
      bodies.flatMap((body) =>
        (JSON.parse(body) as Export).resourceSpans.flatMap(({ scopeSpans }) =>
          scopeSpans.flatMap((scope) => scope.spans),
        ),
      ),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
