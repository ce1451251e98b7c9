import {
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListMessageMoveTasksCommand,
} from '@aws-sdk/client-sqs';
import type { QueueClients } from './sqs.ts';

export interface DeadLetterQueue {
  readonly url: string;
  readonly arn: string;
  /** Where its messages go back to. */
  readonly sourceUrl: string;
  readonly sourceArn: string;
  /** How long the source keeps a message; null where an emulator does not say. */
  readonly sourceRetentionSeconds: number | null;
  /** Visible, in flight and delayed together; approximate, as all counts of SQS. */
  readonly depth: number;
  /** Null where an emulator does not say. Counted from when a message was first sent, not from when it died. */
  readonly retentionSeconds: number | null;
}

/** Somebody else's redrive of the same queue. */
export interface MoveTask {
  readonly status: 'RUNNING' | 'CANCELLING';
  readonly startedAt: Date;
  readonly movedCount: number;
  readonly toMoveCount: number | null;
}

export class NoDeadLetterQueueError extends Error {
  override readonly name = 'NoDeadLetterQueueError';
  readonly code = 'no_dead_letter_queue';
  constructor(sourceName: string) {
    super(`queue ${sourceName} has no redrive policy: nothing of it is ever dead-lettered`);
  }
}

/**
 * Follows the source queue's redrive policy.
 * @throws NoDeadLetterQueueError, or the SDK's error when a queue cannot be asked
 */
export async function findDeadLetterQueue(
  clients: QueueClients,
  sourceName: string,
): Promise<DeadLetterQueue> {
  const sourceUrl = await urlOf(clients, sourceName);
  const source = await attributesOf(clients, sourceUrl);
  const arn = deadLetterTargetArn(source['RedrivePolicy']);
  if (arn === null) throw new NoDeadLetterQueueError(sourceName);
  const [, , , , account, name = ''] = arn.split(':');
  const url = await urlOf(clients, name, account);
  const attributes = await attributesOf(clients, url);
  return {
    url,
    arn,
    sourceUrl,
    sourceArn: source['QueueArn'] ?? '',
    sourceRetentionSeconds: retentionOf(source),
    depth: depthOf(attributes),
    retentionSeconds: retentionOf(attributes),
  };
}

/**
 * A move task that SQS is running on this dead-letter queue, or null. Two redrives of one queue would each take a part
 * of it, and the limits of ours would bind neither. Emulators without move tasks have none.
 */
export async function activeMoveTask(clients: QueueClients, deadLetterArn: string): Promise<MoveTask | null> {
  const answer = await unlessUnsupported(() =>
    clients.settling.send(new ListMessageMoveTasksCommand({ SourceArn: deadLetterArn, MaxResults: 10 })),
  );
  for (const task of answer?.Results ?? []) {
    if (task.Status !== 'RUNNING' && task.Status !== 'CANCELLING') continue;
    return {
      status: task.Status,
      startedAt: new Date(task.StartedTimestamp ?? 0),
      movedCount: task.ApproximateNumberOfMessagesMoved ?? 0,
      toMoveCount: task.ApproximateNumberOfMessagesToMove ?? null,
    };
  }
  return null;
}

async function urlOf(clients: QueueClients, name: string, account?: string): Promise<string> {
  const { QueueUrl } = await clients.settling.send(
    new GetQueueUrlCommand({
      QueueName: name,
      ...(account === undefined ? {} : { QueueOwnerAWSAccountId: account }),
    }),
  );
  return QueueUrl ?? '';
}

async function attributesOf(clients: QueueClients, url: string): Promise<Record<string, string>> {
  const { Attributes } = await clients.settling.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] }),
  );
  return { ...(Attributes as Record<string, string> | undefined) };
}

function deadLetterTargetArn(redrivePolicy: string | undefined): string | null {
  if (redrivePolicy === undefined || redrivePolicy === '') return null;
  return (JSON.parse(redrivePolicy) as { deadLetterTargetArn?: string }).deadLetterTargetArn ?? null;
}

function retentionOf(attributes: Record<string, string>): number | null {
  const retention = attributes['MessageRetentionPeriod'];
  return retention === undefined ? null : Number(retention);
}

function depthOf(attributes: Record<string, string>): number {
  const counts = ['', 'NotVisible', 'Delayed'].map(
    (suffix) => attributes[`ApproximateNumberOfMessages${suffix}`],
  );
  return counts.reduce((sum, count) => sum + Number(count ?? 0), 0);
}

async function unlessUnsupported<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof Error && /UnsupportedOperation|InvalidAction|UnknownOperation/.test(error.name))
      return null;
    throw error;
  }
}
