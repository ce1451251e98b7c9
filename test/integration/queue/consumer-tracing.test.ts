import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { encodeEnvelope } from '../../../services/queue/envelope.ts';
import { sendMessages } from '../../../services/queue/producer.ts';
import { formatTraceHeader, formatTraceparent } from '../../../services/queue/trace-context.ts';
import { type ConsumerStage, startConsumerStage } from '../../support/consuming.ts';
import { eventually } from '../../support/eventually.ts';
import { rewriteResponse } from '../../support/faults.ts';

const exporter = new InMemorySpanExporter();
const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
const created = { traceId: 'a1'.repeat(16), spanId: 'b2'.repeat(8), traceFlags: 1 };

let stage: ConsumerStage;
beforeAll(async () => {
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  stage = await startConsumerStage();
});
afterEach(async () => {
  await stage.clear();
  exporter.reset();
});
afterAll(async () => {
  await stage.stop();
  await provider.shutdown();
  trace.disable();
  context.disable();
});

const tenAttributes = Object.fromEntries(
  Array.from({ length: 10 }, (_, index) => [`a${index}`, { DataType: 'String', StringValue: `${index}` }]),
);
const body = (traceparent?: string) =>
  encodeEnvelope({
    type: 'gift.deliver',
    version: 1,
    id: 'gft_01h2xcejqtf2nbrexx3vqjhp41',
    occurred_at: '2026-01-02T03:04:05.678Z',
    attempt_hint: 0,
    ...(traceparent === undefined ? {} : { traceparent }),
  });
const spansOf = (kind: SpanKind) => exporter.getFinishedSpans().filter((span) => span.kind === kind);

test('P50: the process span is CONSUMER and links to the creation context, with 10 user attributes; the receive span is CLIENT', async () => {
  let inHandler: string | undefined;
  const c = await stage.consume({
    handler: async () => {
      await Promise.resolve();
      inHandler = trace.getActiveSpan()?.spanContext().spanId;
      return { kind: 'done' };
    },
  });
  await sendMessages(c.clients, c.queue.url, [
    { body: body(formatTraceparent(created)), attributes: tenAttributes },
  ]);
  c.consumer.start();
  await eventually(() => expect(c.events.settled).toHaveLength(1));

  const [process] = spansOf(SpanKind.CONSUMER);
  expect(process?.name).toBe(`process ${c.queue.name}`);
  expect(process?.links.map((link) => link.context)).toMatchObject([created]);
  expect(process?.attributes).toMatchObject({
    'messaging.system': 'aws_sqs',
    'messaging.destination.name': c.queue.name,
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.message.id': c.events.handled[0]?.message.messageId,
    'largesse.outcome': 'done',
  });
  expect(process?.spanContext().traceId).not.toBe(created.traceId);
  expect(inHandler).toBe(process?.spanContext().spanId);
  expect(Object.keys(c.events.handled[0]?.message.attributes ?? {})).toHaveLength(10);

  const [receive] = spansOf(SpanKind.CLIENT);
  expect(receive?.name).toBe(`receive ${c.queue.name}`);
  expect(receive?.links.map((link) => link.context)).toMatchObject([created]);
  expect(receive?.attributes).toMatchObject({
    'messaging.operation.type': 'receive',
    'messaging.batch.message_count': 1,
  });
});

test('P50: without a traceparent in the body the link is taken from AWSTraceHeader', async () => {
  const c = await stage.consume({ handler: async () => ({ kind: 'done' }) });
  c.proxy.inject({
    operation: 'ReceiveMessage',
    // The emulator drops the system attribute that SQS keeps.
    fault: rewriteResponse((answer) => ({
      Messages: ((answer['Messages'] ?? []) as { Attributes: object }[]).map((message) => ({
        ...message,
        Attributes: { ...message.Attributes, AWSTraceHeader: formatTraceHeader(created) },
      })),
    })),
  });
  await c.send([body()]);
  c.consumer.start();
  await eventually(() => expect(spansOf(SpanKind.CONSUMER)).toHaveLength(1));
  expect(spansOf(SpanKind.CONSUMER)[0]?.links.map((link) => link.context)).toMatchObject([created]);
});

test('P59: a failed handling marks its span with the name of the error, never with its message', async () => {
  const c = await stage.consume({
    handler: async () => {
      throw new TypeError('550 no such user ada@example.com');
    },
  });
  await c.send([body()]);
  c.consumer.start();
  await eventually(() => expect(spansOf(SpanKind.CONSUMER)).toHaveLength(1));
  const [process] = spansOf(SpanKind.CONSUMER);
  expect(process?.status.code).toBe(SpanStatusCode.ERROR);
  expect(process?.attributes['error.type']).toBe('TypeError');
  const { attributes, events, status } = process ?? {};
  expect(JSON.stringify({ attributes, events, status })).not.toContain('ada@example.com');
});

test('idle polls leave no spans', async () => {
  const c = await stage.consume({ handler: async () => ({ kind: 'done' }) });
  c.consumer.start();
  await eventually(() => expect(c.consumer.stats().emptyReceives).toBeGreaterThan(0));
  expect(exporter.getFinishedSpans()).toEqual([]);
});
