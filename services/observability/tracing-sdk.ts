/** Loaded only when traces are exported (`startTracing`). */
import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { ATTR_SERVICE_NAME, ATTR_SERVICE_VERSION } from '@opentelemetry/semantic-conventions';
import { scrubbingExporter } from './scrubbing-exporter.ts';

/** A collector that doesn't answer may hold up an export this long, and a shutdown no longer. */
const EXPORT_TIMEOUT_MS = 5_000;

export interface SdkOptions {
  readonly serviceName: string;
  readonly serviceVersion?: string | undefined;
  readonly endpoint: string;
  /** Told of every export that failed; left out, a wrong endpoint goes unnoticed. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** Exports what is left and stops tracing. Never rejects: a lost collector is no reason for a failed shutdown. */
export type StopTracing = () => Promise<void>;

export function startTracingSdk(options: SdkOptions): StopTracing {
  const onError = options.onError ?? (() => undefined);
  setGlobalErrorHandler(onError);
  const exporter = new OTLPTraceExporter({
    url: `${options.endpoint.replace(/\/+$/, '')}/v1/traces`,
    timeoutMillis: EXPORT_TIMEOUT_MS,
  });
  const provider = new TracerProvider({
    resource: defaultResource().merge(
      resourceFromAttributes({
        [ATTR_SERVICE_NAME]: options.serviceName,
        ...(options.serviceVersion === undefined ? {} : { [ATTR_SERVICE_VERSION]: options.serviceVersion }),
      }),
    ),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: scrubbingExporter(exporter),
        exportTimeoutMillis: EXPORT_TIMEOUT_MS,
      }),
    ],
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(provider);
  return async () => {
    await provider.shutdown().catch(onError);
    trace.disable();
    propagation.disable();
    context.disable();
  };
}
