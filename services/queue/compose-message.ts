import { isSpanContextValid, trace } from '@opentelemetry/api';
import { type Envelope, encodeEnvelope } from './envelope.ts';
import { formatTraceHeader, formatTraceparent } from './trace-context.ts';

/** A body and its AWSTraceHeader, both telling of the span that is current now; null when nothing is traced. */
export type ComposedMessage = { body: string; traceHeader: string | null };

/**
 * Puts a message into its envelope, with the request and the trace that it comes from.
 * @throws PoisonMessageError when a field could not be read back
 */
export function composeMessage(
  message: Pick<Envelope, 'type' | 'version' | 'id'>,
  origin: { occurredAt: Date; requestId: string | null },
): ComposedMessage {
  const span = trace.getActiveSpan()?.spanContext();
  const created = span && isSpanContextValid(span) ? span : undefined;
  const body = encodeEnvelope({
    ...message,
    occurred_at: origin.occurredAt.toISOString(),
    attempt_hint: 0,
    ...(created ? { traceparent: formatTraceparent(created) } : {}),
    ...(origin.requestId === null ? {} : { request_id: origin.requestId }),
  });
  return { body, traceHeader: created ? formatTraceHeader(created) : null };
}
