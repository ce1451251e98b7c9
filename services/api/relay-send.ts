import type { Kysely } from 'kysely';
import { parkOutboxRow } from '../database/queries/outbox.ts';
import type { Database } from '../database/schema.ts';
import type { OutboxRow } from '../domain/gifts/accept-gifts.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { inSpan } from '../observability/tracing.ts';
import type { OutgoingMessage, SendResult } from '../queue/producer.ts';
import { formatTraceparent, parseTraceHeader } from '../queue/trace-context.ts';
import type { Random } from '../runtime/clock.ts';

export type RelayDeps = {
  db: Kysely<Database>;
  /** Sends to the queue of this name; one result per message, in order. Never rejects. */
  send: (queue: string, messages: OutgoingMessage[]) => Promise<SendResult[]>;
  logger: Logger;
  metrics: Pick<Metrics, 'outboxPublished'>;
  random: Random;
};

export type Sent = {
  /** ids of rows that SQS has, and that may be deleted */
  sent: string[];
  /** ids of rows to try again */
  failed: string[];
  /** why, of the first that failed */
  reason: string | null;
};

/** Sends rows, queue by queue. Rows that can never be sent are parked on the way. */
export async function sendRows(deps: RelayDeps, rows: readonly OutboxRow[]): Promise<Sent> {
  const byQueue = Map.groupBy(rows, (row) => row.queue);
  const parts = await Promise.all([...byQueue].map(([queue, group]) => sendToQueue(deps, queue, group)));
  return {
    sent: parts.flatMap((part) => part.sent),
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
  return await sortOut(deps, queue, rows, results);
}

async function sortOut(
  deps: RelayDeps,
  queue: string,
  rows: OutboxRow[],
  results: readonly SendResult[],
): Promise<Sent> {
  const outcome: Sent = { sent: [], failed: [], reason: null };
  for (const [index, row] of rows.entries()) {
    const result = results[index];
    if (result?.ok) outcome.sent.push(row.id);
    else if (result && !result.retryable) await park(deps, row, result.reason);
    else {
      outcome.failed.push(row.id);
      outcome.reason ??= result?.reason ?? 'no result';
    }
  }
  deps.metrics.outboxPublished.inc({ queue }, outcome.sent.length);
  return outcome;
}

async function park({ db, logger }: RelayDeps, row: OutboxRow, reason: string): Promise<void> {
  await parkOutboxRow(db, row.id, reason);
  logger.error('a message can never be sent and was parked', {
    event: 'outbox_row_parked',
    outbox_id: row.id,
    queue: row.queue,
    reason,
  });
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
