import { GetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import type { QueueClients } from './sqs.ts';

/** Messages of a queue by what may be done with them; approximate, as all counts of SQS. */
export interface QueueDepth {
  readonly visible: number;
  readonly inFlight: number;
  readonly delayed: number;
}

/** Asks SQS, which may be a minute behind. Rejects with the SDK's error when the queue can't be asked. */
export async function readQueueDepth(clients: QueueClients, queueUrl: string): Promise<QueueDepth> {
  const { Attributes } = await clients.settling.send(
    new GetQueueAttributesCommand({
      QueueUrl: queueUrl,
      AttributeNames: [
        'ApproximateNumberOfMessages',
        'ApproximateNumberOfMessagesNotVisible',
        'ApproximateNumberOfMessagesDelayed',
      ],
    }),
    { abortSignal: AbortSignal.timeout(2_000) },
  );
  return {
    visible: Number(Attributes?.ApproximateNumberOfMessages ?? 0),
    inFlight: Number(Attributes?.ApproximateNumberOfMessagesNotVisible ?? 0),
    delayed: Number(Attributes?.ApproximateNumberOfMessagesDelayed ?? 0),
  };
}
