import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  type QueueAttributeName,
  SetQueueAttributesCommand,
} from '@aws-sdk/client-sqs';
import { loopPauseMs } from './backoff.ts';
import { pause } from './pause.ts';
import {
  attributesToSet,
  type FoundQueue,
  inspectQueue,
  type QueueProblem,
  type QueueSettings,
  queueLimitations,
} from './queue-settings.ts';
import type { QueueClients } from './sqs.ts';

export interface EnsureQueueOptions extends QueueSettings {
  /** `verify` changes nothing; `create` creates what is missing and sets the attributes that are ours. */
  readonly mode: 'create' | 'verify';
}

export interface QueueInfo {
  readonly name: string;
  readonly url: string;
  readonly arn: string;
  readonly deadLetterName: string;
  readonly deadLetterUrl: string;
  readonly deadLetterArn: string;
  readonly visibilityTimeoutSeconds: number;
  readonly maxReceiveCount: number;
  /** What could not be verified, in words: the server does not tell it. */
  readonly limitations: readonly string[];
}

export class QueueMissingError extends Error {
  override readonly name = 'QueueMissingError';
  readonly code = 'queue_missing';
  readonly queueName: string;
  constructor(queueName: string, cause: unknown) {
    super(`queue ${queueName} does not exist: create it, or start with QUEUE_PROVISIONING=create`, { cause });
    this.queueName = queueName;
  }
}

export class QueueMisconfiguredError extends Error {
  override readonly name = 'QueueMisconfiguredError';
  readonly code = 'queue_misconfigured';
  readonly problems: readonly QueueProblem[];
  constructor(problems: readonly QueueProblem[]) {
    const lines = problems.map(
      (p) => `${p.queue} ${p.attribute} is ${p.actual}, must be ${p.expected}: ${p.fix}`,
    );
    super(lines.join('\n'));
    this.problems = problems;
  }
}

export class QueueUnreachableError extends Error {
  override readonly name = 'QueueUnreachableError';
  readonly code = 'queue_unreachable';
  constructor(queueName: string, cause: unknown) {
    const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    super(
      `queue ${queueName} cannot be asked for its attributes (${reason}): check endpoint, region and permissions`,
      {
        cause,
      },
    );
  }
}

/**
 * Finds the queue and its dead-letter queue, creates or verifies them, answers where they are.
 * @throws QueueMissingError | QueueMisconfiguredError | QueueUnreachableError
 */
export async function ensureQueue(clients: QueueClients, options: EnsureQueueOptions): Promise<QueueInfo> {
  const deadLetter = await findQueue(clients, options.deadLetterName, options.mode);
  const source = await findQueue(clients, options.name, options.mode);
  const limitations = queueLimitations(options, deadLetter, source);
  if (options.mode === 'create') {
    const wanted = attributesToSet(options, deadLetter, source);
    await setAttributes(clients, deadLetter, wanted.deadLetter);
    await setAttributes(clients, source, wanted.source);
    // SQS answers reads with the old attributes for up to 60 s after a change: what was just set is taken as set.
    Object.assign(deadLetter.attributes, wanted.deadLetter);
    Object.assign(source.attributes, wanted.source);
  }
  const problems = inspectQueue(options, deadLetter, source);
  if (problems.length > 0) throw new QueueMisconfiguredError(problems);
  return {
    name: options.name,
    url: source.url,
    arn: source.attributes['QueueArn'] ?? '',
    deadLetterName: options.deadLetterName,
    deadLetterUrl: deadLetter.url,
    deadLetterArn: deadLetter.attributes['QueueArn'] ?? '',
    visibilityTimeoutSeconds: options.visibilityTimeoutSeconds,
    maxReceiveCount: options.maxReceiveCount,
    limitations,
  };
}

export interface WaitForQueueOptions {
  readonly signal: AbortSignal;
  /** Told each time: log it, and stay "not ready". */
  readonly onProblem: (error: unknown, nextTryMs: number) => void;
  readonly random: () => number;
}

/** `ensureQueue` until it succeeds, pausing 50 ms at first and 15-30 s at last: a clear message, not a crash loop. */
export async function waitForQueue(
  clients: QueueClients,
  queue: EnsureQueueOptions,
  options: WaitForQueueOptions,
): Promise<QueueInfo> {
  for (let failures = 1; ; failures += 1) {
    options.signal.throwIfAborted();
    try {
      return await ensureQueue(clients, queue);
    } catch (error) {
      const pauseMs = loopPauseMs(failures, options.random);
      options.onProblem(error, pauseMs);
      await pause(pauseMs, options.signal);
    }
  }
}

async function findQueue(
  clients: QueueClients,
  name: string,
  mode: 'create' | 'verify',
): Promise<FoundQueue> {
  try {
    const url = await queueUrl(clients, name, mode);
    const { Attributes } = await clients.settling.send(
      new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] }),
    );
    return { name, url, attributes: { ...(Attributes as Record<string, string>) } };
  } catch (error) {
    if (isMissing(error)) throw new QueueMissingError(name, error);
    throw new QueueUnreachableError(name, error);
  }
}

async function queueUrl(clients: QueueClients, name: string, mode: 'create' | 'verify'): Promise<string> {
  try {
    const { QueueUrl } = await clients.settling.send(new GetQueueUrlCommand({ QueueName: name }));
    return QueueUrl ?? '';
  } catch (error) {
    if (mode === 'verify' || !isMissing(error)) throw error;
    // Without attributes: another replica that creates it at the same moment cannot conflict with us.
    const { QueueUrl } = await clients.settling.send(new CreateQueueCommand({ QueueName: name }));
    return QueueUrl ?? '';
  }
}

async function setAttributes(
  clients: QueueClients,
  queue: FoundQueue,
  attributes: Partial<Record<QueueAttributeName, string>>,
): Promise<void> {
  if (Object.keys(attributes).length === 0) return;
  try {
    await clients.settling.send(
      new SetQueueAttributesCommand({ QueueUrl: queue.url, Attributes: attributes }),
    );
  } catch (error) {
    throw new QueueUnreachableError(queue.name, error);
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && /QueueDoesNotExist|NonExistentQueue/.test(error.name);
}
