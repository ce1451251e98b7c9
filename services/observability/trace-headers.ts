import { type SpanContext, TraceFlags } from '@opentelemetry/api';

/** `00-<32 hex>-<16 hex>-<2 hex>`, the W3C header that the envelope carries. */
export function formatTraceparent(span: SpanContext): string {
  return `00-${span.traceId}-${span.spanId}-${span.traceFlags.toString(16).padStart(2, '0')}`;
}

/** `undefined` for whatever is not a valid traceparent: a broken header must cost a link, not a message. */
export function parseTraceparent(traceparent: string | undefined): SpanContext | undefined {
  const match = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.{0,256})?$/.exec(
    traceparent ?? '',
  );
  const [, traceId, spanId, flags] = match ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
}

/** The value of the SQS system attribute AWSTraceHeader, which takes none of the ten user attributes. */
export function toAwsTraceHeader(traceparent: string | undefined): string | undefined {
  const span = parseTraceparent(traceparent);
  if (span === undefined) return undefined;
  const root = `1-${span.traceId.slice(0, 8)}-${span.traceId.slice(8)}`;
  return `Root=${root};Parent=${span.spanId};Sampled=${span.traceFlags & TraceFlags.SAMPLED}`;
}

/** The way back; fields may come in any order, and AWS adds some (`Self`, `Lineage`). Without `Sampled`: not sampled. */
export function fromAwsTraceHeader(header: string | undefined): string | undefined {
  const fields = new Map((header ?? '').split(';').map((field) => splitOnce(field.trim())));
  const [, epoch, unique] = /^1-([0-9a-f]{8})-([0-9a-f]{24})$/i.exec(fields.get('Root') ?? '') ?? [];
  const parent = fields.get('Parent');
  if (epoch === undefined || unique === undefined || parent === undefined) return undefined;
  const flags = fields.get('Sampled') === '1' ? '01' : '00';
  const traceparent = `00-${epoch}${unique}-${parent}-${flags}`.toLowerCase();
  return parseTraceparent(traceparent) === undefined ? undefined : traceparent;
}

function splitOnce(field: string): [string, string] {
  const at = field.indexOf('=');
  return at < 0 ? [field, ''] : [field.slice(0, at), field.slice(at + 1)];
}
