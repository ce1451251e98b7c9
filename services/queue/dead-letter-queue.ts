import {
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListMessageMoveTasksCommand,
  type ListMessageMoveTasksResultEntry,
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
 * of it, and the limits of ours would bind neither. The look is a precaution, which many implementations of SQS can't
 * serve and each refuses in its own way (an unknown operation, a page of HTML with status 500, a missing permission):
 * the queue is redriven without it, and `known: false` is for somebody to say.
 *
 * @throws the SDK's error when the queue service did not answer, or asked for less: then it may well know of one
 */
export async function findMoveTask(
  clients: QueueClients,
  deadLetterArn: string,
): Promise<{ known: true; task: MoveTask | null } | { known: false; task: null; error: unknown }> {
  try {
    const answer = await clients.settling.send(
      new ListMessageMoveTasksCommand({ SourceArn: deadLetterArn, MaxResults: 10 }),
    );
    return { known: true, task: activeTask(answer.Results ?? []) };
  } catch (error) {
    if (isOutage(error)) throw error;
    return { known: false, task: null, error };
  }
}

/** No answer, or one that is about this moment and not about the operation. */
function isOutage(error: unknown): boolean {
  const { name, $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode;
  return (
    status === undefined || status === 429 || status === 503 || /Throttl|TooManyRequests/.test(name ?? '')
  );
}

function activeTask(tasks: readonly ListMessageMoveTasksResultEntry[]): MoveTask | null {
  for (const task of tasks) {
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
