import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { scrubText } from './scrub.ts';
import { formatTraceparent, parseTraceparent } from './traceparent.ts';
import type { SdkOptions, StopTracing } from './tracing-sdk.ts';

/** What `inSpan` hands to its function: attributes and a better name can be added while it runs. */
export type { Span } from '@opentelemetry/api';

export interface TracingOptions extends Omit<SdkOptions, 'endpoint'> {
  /** The base URL of an OTLP/HTTP collector (`/v1/traces` is added); unset, nothing is traced. */
  readonly endpoint?: string | undefined;
}

/** Without an endpoint nothing is loaded and spans cost next to nothing. The SDK alone takes longer to load than the rest. */
export async function startTracing(options: TracingOptions): Promise<StopTracing> {
  const { endpoint } = options;
  if (endpoint === undefined) return () => Promise.resolve();
  const { startTracingSdk } = await import('./tracing-sdk.ts');
  return startTracingSdk({ ...options, endpoint });
}

export interface SpanOptions {
  readonly kind?: 'internal' | 'server' | 'client' | 'producer' | 'consumer';
  readonly attributes?: Attributes;
  /** W3C traceparents of what caused this without being its parent: a batch, or a message created earlier (P50). */
  readonly links?: readonly (string | undefined)[];
  /** Continues the trace of a caller outside; left out, the active span is the parent. */
  readonly parent?: string | undefined;
}

/**
 * Runs `fn` in a span of this name. A rejection is recorded, without personal data, and passed on.
 * Names and attributes hold ids and kinds, never what a person wrote.
 */
export async function inSpan<T>(
  name: string,
  options: SpanOptions,
  fn: (span: Span) => Promise<T> | T,
): Promise<T> {
  const spanOptions = {
    kind: KINDS[options.kind ?? 'internal'],
    ...(options.attributes === undefined ? {} : { attributes: options.attributes }),
    links: (options.links ?? []).flatMap((traceparent) => {
      const linked = parseTraceparent(traceparent);
      return linked === undefined ? [] : [{ context: linked }];
    }),
  };
  return trace
    .getTracer('largesse')
    .startActiveSpan(name, spanOptions, parentContext(options.parent), async (span) => {
      try {
        return await fn(span);
      } catch (error) {
        recordError(span, error);
        throw error;
      } finally {
        span.end();
      }
    });
}

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const;

/** Marks a span as failed. For failures that are answered rather than thrown. */
export function recordError(span: Span, error: unknown): void {
  const name = error instanceof Error ? error.name : 'Error';
  const message = scrubText(error instanceof Error ? error.message : String(error));
  const stack = error instanceof Error && error.stack !== undefined ? scrubText(error.stack) : undefined;
  span.recordException({ name, message, ...(stack === undefined ? {} : { stack }) });
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}

/** The active span as a W3C traceparent, to be sent along; `undefined` when nothing is traced. */
export function currentTraceparent(): string | undefined {
  const span = activeSpanContext();
  return span === undefined ? undefined : formatTraceparent(span);
}

export function currentTraceId(): string | undefined {
  return activeSpanContext()?.traceId;
}

function activeSpanContext(): SpanContext | undefined {
  const span = trace.getActiveSpan()?.spanContext();
  return span !== undefined && trace.isSpanContextValid(span) ? span : undefined;
}

function parentContext(traceparent: string | undefined): Context {
  if (traceparent === undefined) return context.active();
  return propagation.extract(ROOT_CONTEXT, { traceparent });
}
