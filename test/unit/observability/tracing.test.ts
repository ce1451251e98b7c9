import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { trace } from '@opentelemetry/api';
import { createLogger } from '../../../services/observability/logger.ts';
import {
  currentTraceId,
  currentTraceparent,
  inSpan,
  startTracing,
} from '../../../services/observability/tracing.ts';

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: { key: string; value: Record<string, unknown> }[];
  readonly events: { name: string; attributes: { key: string; value: { stringValue?: string } }[] }[];
  readonly links: { traceId: string; spanId: string }[];
  readonly status: { code?: number; message?: string };
}

interface OtlpBody {
  readonly resourceSpans: {
    resource: { attributes: { key: string; value: { stringValue?: string } }[] };
    scopeSpans: { spans: OtlpSpan[] }[];
  }[];
}

async function startCollector(status = 200) {
  const bodies: OtlpBody[] = [];
  const paths: (string | undefined)[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    paths.push(request.url);
    bodies.push(JSON.parse(Buffer.concat(chunks).toString()) as OtlpBody);
    response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    paths,
    bodies,
    spans: () =>
      bodies.flatMap((body) =>
        body.resourceSpans.flatMap((group) => group.scopeSpans.flatMap(({ spans }) => spans)),
      ),
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

const CREATED = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

describe('with a collector', () => {
  let collector: Awaited<ReturnType<typeof startCollector>>;
  beforeEach(async () => {
    collector = await startCollector();
  });
  afterEach(() => collector.close());

  test('spans arrive with their names, kinds, parents and the name of the service', async () => {
    const stop = await startTracing({
      serviceName: 'largesse-api',
      serviceVersion: '1.2.3',
      endpoint: `${collector.endpoint}/`,
    });
    await inSpan('POST /v1/gifts', { kind: 'server', attributes: { 'http.route': '/v1/gifts' } }, () =>
      inSpan('accept gifts', {}, () => Promise.resolve()),
    );
    await stop();
    const [inner, outer] = collector.spans();
    expect(collector.paths).toEqual(['/v1/traces']);
    expect(outer).toMatchObject({
      name: 'POST /v1/gifts',
      kind: 2,
      attributes: [{ key: 'http.route', value: { stringValue: '/v1/gifts' } }],
    });
    expect(inner).toMatchObject({
      name: 'accept gifts',
      kind: 1,
      traceId: outer?.traceId,
      parentSpanId: outer?.spanId,
    });
    expect(collector.bodies[0]?.resourceSpans[0]?.resource.attributes).toEqual(
      expect.arrayContaining([
        { key: 'service.name', value: { stringValue: 'largesse-api' } },
        { key: 'service.version', value: { stringValue: '1.2.3' } },
      ]),
    );
  });

  test('P50: a span links to the creation context of a message, and can continue the trace of a caller', async () => {
    const stop = await startTracing({ serviceName: 'x', endpoint: collector.endpoint });
    await inSpan('process', { kind: 'consumer', links: [CREATED, undefined, 'garbage'] }, () =>
      Promise.resolve(),
    );
    await inSpan('request', { kind: 'server', parent: CREATED }, () => {
      expect(currentTraceId()).toBe('4bf92f3577b34da6a3ce929d0e0e4736');
    });
    await stop();
    const [process, request] = collector.spans();
    expect(process?.links).toEqual([
      expect.objectContaining({ traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' }),
    ]);
    expect(process?.traceId).not.toBe('4bf92f3577b34da6a3ce929d0e0e4736');
    expect(request).toMatchObject({
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      parentSpanId: '00f067aa0ba902b7',
    });
  });

  test('the active span is what log lines and messages carry', async () => {
    const stop = await startTracing({ serviceName: 'x', endpoint: collector.endpoint });
    const stream = new PassThrough();
    const log = createLogger({ service: 'api', stream });
    const traceparent = await inSpan('work', {}, async () => {
      await Promise.resolve();
      log.info('inside');
      return currentTraceparent();
    });
    log.info('outside');
    await stop();
    const [span] = collector.spans();
    const [inside, outside] = String(stream.read())
      .split('\n')
      .map((line) => (line === '' ? {} : JSON.parse(line)));
    expect(traceparent).toBe(`00-${span?.traceId}-${span?.spanId}-01`);
    expect(inside.trace_id).toBe(span?.traceId);
    expect(outside).not.toHaveProperty('trace_id');
  });

  test('a rejection is recorded and passed on', async () => {
    const stop = await startTracing({ serviceName: 'x', endpoint: collector.endpoint });
    const failure = new RangeError('too far');
    await expect(inSpan('work', {}, () => Promise.reject(failure))).rejects.toBe(failure);
    await stop();
    const [span] = collector.spans();
    expect(span?.status).toEqual({ code: 2, message: 'too far' });
    expect(span?.events[0]?.attributes).toEqual(
      expect.arrayContaining([{ key: 'exception.type', value: { stringValue: 'RangeError' } }]),
    );
  });

  test('P59: no address is found in what is exported: names, attributes, exceptions, states, of our own spans and of others', async () => {
    const stop = await startTracing({ serviceName: 'x', endpoint: collector.endpoint });
    const text = 'bob.smith@example.com';
    await inSpan(`mail to ${text}`, { attributes: { to: text, all: [text] } }, () =>
      Promise.reject(new Error(`550 <${text}>`)),
    ).catch((error: unknown) => expect(error).toBeInstanceOf(Error));
    const foreign = trace.getTracer('another').startSpan(`to ${text}`, { attributes: { text } });
    foreign.recordException(new Error(`to ${text}`));
    foreign.setStatus({ code: 2, message: text });
    foreign.addEvent(text, { text });
    foreign.end();
    await stop();
    expect(collector.spans()).toHaveLength(2);
    expect(JSON.stringify(collector.bodies)).not.toContain('bob.smith');
    expect(JSON.stringify(collector.bodies)).toContain('550 <[email]>');
  });
});

test('a collector that refuses is reported, and does not fail the shutdown', async () => {
  const collector = await startCollector(400);
  const errors: unknown[] = [];
  const stop = await startTracing({
    serviceName: 'x',
    endpoint: collector.endpoint,
    onError: (error) => errors.push(error),
  });
  await inSpan('work', {}, () => Promise.resolve());
  await stop();
  await collector.close();
  expect(errors).not.toHaveLength(0);
});

test('without an endpoint work runs and nothing is traced', async () => {
  const stop = await startTracing({ serviceName: 'x' });
  const seen = await inSpan('work', { links: [CREATED], parent: CREATED }, () => [
    currentTraceId(),
    currentTraceparent(),
  ]);
  await stop();
  expect(seen).toEqual([undefined, undefined]);
});
