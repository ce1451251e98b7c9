import type { OutboxWriter } from '../domain/outbox.ts';
import { toAwsTraceHeader } from '../observability/trace-headers.ts';
import { currentTraceparent } from '../observability/tracing.ts';
import { encodeEnvelope } from '../queue/envelope.ts';
import type { Clock } from '../runtime/clock.ts';

/** Outbox rows of a process that publishes none itself: any relay may take them at once. */
export function createOutboxWriter({ queue, clock }: { queue: string; clock: Clock }): OutboxWriter {
  return {
    leaseSeconds: 0,
    row(message, { groupId, requestId }) {
      const traceparent = currentTraceparent();
      const body = encodeEnvelope({
        ...message,
        occurred_at: clock().toISOString(),
        attempt_hint: 0,
        ...(traceparent === undefined ? {} : { traceparent }),
        ...(requestId === null ? {} : { request_id: requestId }),
      });
      return {
        queue,
        body,
        group_id: groupId,
        trace_header: toAwsTraceHeader(traceparent) ?? null,
      };
    },
  };
}
