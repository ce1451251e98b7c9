import { type Message, ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import type { QueueClients } from './sqs.ts';

export interface ReceiveInput {
  readonly queueUrl: string;
  readonly count: number;
  readonly waitTimeSeconds: number;
  readonly visibilityTimeoutSeconds: number;
}

class ReceiveTimeoutError extends Error {
  override readonly name = 'ReceiveTimeoutError';
  readonly code = 'receive_timeout';
}

/** SQS answers a long poll within its wait time; a socket that is silent for this much longer is dead. */
const slackMs = 5_000;

/**
 * One ReceiveMessage. Cut at wait time + 5 s even if the SDK itself hangs (a credential endpoint that does not answer ignores
 * abort signals), so the caller always hears something. `signal` cuts it at once.
 */
export async function receive(
  clients: QueueClients,
  input: ReceiveInput,
  signal: AbortSignal,
): Promise<Message[]> {
  const controller = new AbortController();
  const cut = Promise.withResolvers<never>();
  const limitMs = input.waitTimeSeconds * 1_000 + slackMs;
  const end = (error: Error) => {
    controller.abort(error);
    cut.reject(error);
  };
  const timer = setTimeout(() => end(new ReceiveTimeoutError(`no answer within ${limitMs} ms`)), limitMs);
  const onAbort = () => end(signal.reason instanceof Error ? signal.reason : new Error('receive aborted'));
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([send(clients, input, controller.signal), cut.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

async function send(
  clients: QueueClients,
  input: ReceiveInput,
  abortSignal: AbortSignal,
): Promise<Message[]> {
  const command = new ReceiveMessageCommand({
    QueueUrl: input.queueUrl,
    MaxNumberOfMessages: input.count,
    WaitTimeSeconds: input.waitTimeSeconds,
    // Said with each receive, so that leases are counted from what we know and not from what the queue was set to meanwhile.
    VisibilityTimeout: input.visibilityTimeoutSeconds,
    MessageAttributeNames: ['All'],
    MessageSystemAttributeNames: ['All'],
  });
  const { Messages } = await clients.receiving.send(command, { abortSignal });
  return Messages ?? [];
}
