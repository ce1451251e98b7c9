import type { Kysely } from 'kysely';
import { parkOutboxRow, postponeOutboxRows } from '../database/queries/outbox.ts';
import type { Database } from '../database/schema.ts';
import type { OutboxRow } from '../domain/gifts/accept-gifts.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { inSpan } from '../observability/tracing.ts';
import { failureOwner } from '../queue/failure-owner.ts';
import type { OutgoingMessage, SendResult } from '../queue/producer.ts';
import { formatTraceparent, parseTraceHeader } from '../queue/trace-context.ts';
import type { Random } from '../runtime/clock.ts';

export type RelayDeps = {
  db: Kysely<Database>;
  /** names of the queues whose rows this process publishes; it leaves all others to those who know them */
  queues: readonly string[];
  /** Sends to the queue of this name; one result per message, in order. Never rejects. */
  send: (queue: string, messages: OutgoingMessage[]) => Promise<SendResult[]>;
  logger: Logger;
  metrics: Pick<Metrics, 'outboxPublished'>;
  random: Random;
};

export type Sent = {
  /** ids of rows that SQS has, and that may be deleted */
  sent: string[];
  /** rows that are to blame themselves: they can never be sent */
  refused: { row: OutboxRow; reason: string }[];
  /** ids of rows to try again */
  failed: string[];
  /** why, of the first that failed */
  reason: string | null;
};

/** Sends rows, queue by queue. What becomes of the rows is the caller's, who must delete the sent ones first. */
export async function sendRows(deps: RelayDeps, rows: readonly OutboxRow[]): Promise<Sent> {
  const byQueue = Map.groupBy(rows, (row) => row.queue);
  const parts = await Promise.all([...byQueue].map(([queue, group]) => sendToQueue(deps, queue, group)));
  return {
    sent: parts.flatMap((part) => part.sent),
    refused: parts.flatMap((part) => part.refused),
    failed: parts.flatMap((part) => part.failed),
    reason: parts.find((part) => part.reason !== null)?.reason ?? null,
  };
}

async function sendToQueue(deps: RelayDeps, queue: string, rows: OutboxRow[]): Promise<Sent> {
  const span = {
    kind: 'producer',
    attributes: {
      'messaging.system': 'aws_sqs',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': queue,
      'messaging.batch.message_count': rows.length,
    },
    // From the send to where each message was created: the requests, which ended long ago.
    links: rows.map((row) => traceparentOf(row.traceHeader)),
  } as const;
  const results = await inSpan(`send ${queue}`, span, () => deps.send(queue, rows.map(toMessage)));
  return sortOut(deps, queue, rows, results);
}

function sortOut(deps: RelayDeps, queue: string, rows: OutboxRow[], results: readonly SendResult[]): Sent {
  const outcome: Sent = { sent: [], refused: [], failed: [], reason: null };
  for (const [index, row] of rows.entries()) {
    const result = results[index];
    if (result?.ok) outcome.sent.push(row.id);
    else if (result && !result.retryable) outcome.refused.push({ row, reason: result.reason });
    else {
      outcome.failed.push(row.id);
      outcome.reason ??= result?.reason ?? 'no result';
    }
  }
  deps.metrics.outboxPublished.inc({ queue }, outcome.sent.length);
  return outcome;
}

/** A row that was not taken is tried again after this long at most. */
const longestPauseSeconds = 60;

/** Parks what can never be sent, and leaves the rest for later: a refusal that is not the row's own may pass, or be mended. */
export async function keepUnsent({ db, logger }: RelayDeps, unsent: Sent): Promise<void> {
  const { sent, refused, failed, reason } = unsent;
  if (failed.length > 0) {
    await postponeOutboxRows(db, failed, longestPauseSeconds);
    // When all fail, the caller tells; here are some that others would not wait for.
    if (sent.length > 0 && reason !== null) {
      const owner = failureOwner(reason);
      logger.warn('messages were not taken and are tried again', {
        event: 'outbox_rows_postponed',
        rows: failed.length,
        reason,
        owner,
      });
    }
  }
  for (const { row, reason: why } of refused) {
    await parkOutboxRow(db, row.id, why);
    logger.error('a message can never be sent and was parked', {
      event: 'outbox_row_parked',
      marker: '[MONITOR]',
      outbox_id: row.id,
      queue: row.queue,
      reason: why,
    });
  }
}

function toMessage(row: OutboxRow): OutgoingMessage {
  return {
    body: row.body,
    ...(row.groupId === null ? {} : { groupId: row.groupId }),
    ...(row.traceHeader === null ? {} : { traceHeader: row.traceHeader }),
  };
}

function traceparentOf(traceHeader: string | null): string | undefined {
  const created = parseTraceHeader(traceHeader ?? undefined);
  return created && formatTraceparent(created);
}
