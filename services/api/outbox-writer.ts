import type { OutboxWriter } from '../domain/outbox.ts';
import { toAwsTraceHeader } from '../observability/trace-headers.ts';
import { currentTraceparent } from '../observability/tracing.ts';
import { encodeEnvelope } from '../queue/envelope.ts';
import type { Clock } from '../runtime/clock.ts';

/** Writes messages for one queue, each with the trace and the request that it came from. */
export function createOutboxWriter(options: {
  queue: string;
  clock: Clock;
  leaseSeconds: number;
}): OutboxWriter {
  return {
    leaseSeconds: options.leaseSeconds,
    row: (message, { groupId, requestId }) => {
      const traceparent = currentTraceparent();
      return {
        queue: options.queue,
        body: encodeEnvelope({
          ...message,
          occurred_at: options.clock().toISOString(),
          attempt_hint: 0,
          ...(traceparent === undefined ? {} : { traceparent }),
          ...(requestId === null ? {} : { request_id: requestId }),
        }),
        group_id: groupId,
        trace_header: toAwsTraceHeader(traceparent) ?? null,
      };
    },
  };
}
