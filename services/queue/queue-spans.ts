import { context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { QueueMessage } from './message.ts';
import type { HandledEvent } from './queue-observer.ts';
import { creationContext } from './trace-context.ts';

const tracer = () => trace.getTracer('largesse.queue');

/** Recorded when it is over: an idle consumer's empty polls leave no spans. Links to where each message was created. */
export function recordReceive(
  queueName: string,
  messages: readonly QueueMessage[],
  durationMs: number,
): void {
  const endTime = Date.now();
  tracer()
    .startSpan(
      `receive ${queueName}`,
      {
        kind: SpanKind.CLIENT,
        startTime: endTime - durationMs,
        links: messages.flatMap(linkToCreation),
        attributes: {
          ...destination(queueName),
          'messaging.operation.name': 'receive',
          'messaging.operation.type': 'receive',
          'messaging.batch.message_count': messages.length,
        },
      },
      ROOT_CONTEXT,
    )
    .end(endTime);
}

export function recordReceiveError(queueName: string, error: unknown): void {
  const span = tracer().startSpan(
    `receive ${queueName}`,
    {
      kind: SpanKind.CLIENT,
      attributes: {
        ...destination(queueName),
        'messaging.operation.name': 'receive',
        'messaging.operation.type': 'receive',
      },
    },
    ROOT_CONTEXT,
  );
  fail(span, error instanceof Error ? error.name : 'UnknownError');
  span.end();
}

/** A trace of its own, linked to the creation: the gift's request must not look as long as its queue. */
export function startProcess(queueName: string, message: QueueMessage): Span {
  return tracer().startSpan(
    `process ${queueName}`,
    {
      kind: SpanKind.CONSUMER,
      links: linkToCreation(message),
      attributes: {
        ...destination(queueName),
        'messaging.operation.name': 'process',
        'messaging.operation.type': 'process',
        'messaging.message.id': message.messageId,
        'messaging.message.body.size': Buffer.byteLength(message.body),
        'aws.sqs.receive_count': message.receiveCount,
      },
    },
    ROOT_CONTEXT,
  );
}

/** Runs `call` with the span as the active one. */
export function within<T>(span: Span, call: () => T): T {
  return context.with(trace.setSpan(ROOT_CONTEXT, span), call);
}

/** Names only: an error's message may quote a recipient's address ("550 no such user"), and traces leave the house. */
export function endProcess(span: Span, handled: HandledEvent): void {
  span.setAttribute('largesse.outcome', handled.outcome);
  if (handled.error !== undefined || handled.outcome === 'timed-out' || handled.outcome === 'lease-lost') {
    fail(span, handled.error instanceof Error ? handled.error.name : handled.outcome);
  }
  span.end();
}

function fail(span: Span, errorType: string): void {
  span.setAttribute('error.type', errorType);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

/** Names of the OpenTelemetry messaging conventions; the queue's url stays out because it holds the account. */
function destination(queueName: string) {
  return { 'messaging.system': 'aws_sqs', 'messaging.destination.name': queueName };
}

function linkToCreation(message: QueueMessage) {
  const created = creationContext(message);
  return created === undefined ? [] : [{ context: created }];
}
