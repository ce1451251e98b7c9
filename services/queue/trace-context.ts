import { type SpanContext, TraceFlags } from '@opentelemetry/api';
import type { QueueMessage } from './message.ts';

/**
 * Where the message was created: from the envelope, else from a `traceparent` attribute of another producer, else from the
 * X-Ray header. Undefined when none can be read: tracing never fails a message.
 */
export function creationContext(message: QueueMessage): SpanContext | undefined {
  return (
    parseTraceparent(traceparentInBody(message.body)) ??
    parseTraceparent(message.attributes['traceparent']?.StringValue) ??
    parseTraceHeader(message.traceHeader)
  );
}

/** `00-<trace>-<span>-<flags>` for the envelope's `traceparent`. */
export function formatTraceparent(context: SpanContext): string {
  return `00-${context.traceId}-${context.spanId}-${context.traceFlags.toString(16).padStart(2, '0')}`;
}

/** The AWSTraceHeader system attribute: it rides beside the 10 user attributes, not among them. */
export function formatTraceHeader(context: SpanContext): string {
  const sampled = (context.traceFlags & TraceFlags.SAMPLED) === 0 ? 0 : 1;
  const { traceId, spanId } = context;
  return `Root=1-${traceId.slice(0, 8)}-${traceId.slice(8)};Parent=${spanId};Sampled=${sampled}`;
}

export function parseTraceparent(text: string | undefined): SpanContext | undefined {
  const match = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(text ?? '');
  if (match === null) return undefined;
  const [, traceId = '', spanId = '', flags = ''] = match;
  return remote(traceId, spanId, Number.parseInt(flags, 16) & TraceFlags.SAMPLED);
}

export function parseTraceHeader(text: string | undefined): SpanContext | undefined {
  const root = /(?:^|;)Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;|$)/.exec(text ?? '');
  const parent = /(?:^|;)Parent=([0-9a-f]{16})(?:;|$)/.exec(text ?? '');
  if (root === null || parent === null) return undefined;
  const sampled = /(?:^|;)Sampled=1(?:;|$)/.test(text ?? '');
  return remote(`${root[1]}${root[2]}`, parent[1] ?? '', sampled ? TraceFlags.SAMPLED : TraceFlags.NONE);
}

function remote(traceId: string, spanId: string, traceFlags: number): SpanContext | undefined {
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, traceFlags, isRemote: true };
}

function traceparentInBody(body: string): string | undefined {
  // Most bodies without one are told apart without parsing them.
  if (!body.includes('"traceparent"')) return undefined;
  try {
    const value = (JSON.parse(body) as { traceparent?: unknown } | null)?.traceparent;
    return typeof value === 'string' ? value : undefined;
  } catch {
    // Not JSON: the handler will say so. Here it only means that there is no trace to follow.
    return undefined;
  }
}
