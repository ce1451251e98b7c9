import { buildApp } from 'fauxqs';
import { createQueuePair, type QueuePair, type QueuePairOptions } from './queue-pair.ts';

export interface StoredMessage {
  messageId: string;
  body: string;
  messageAttributes: Record<string, { DataType: string; StringValue?: string; BinaryValue?: string }>;
  sentTimestamp: number;
  approximateReceiveCount: number;
}

/** What a queue holds at this moment; looking changes nothing. */
export interface QueueContents {
  ready: StoredMessage[];
  delayed: StoredMessage[];
  inflight: { message: StoredMessage; receiptHandle: string; visibilityDeadline: number }[];
}

export interface Emulator {
  endpoint: string;
  region: string;
  /** Creates a queue and its dead-letter queue under names that no other test has. */
  createQueuePair(options?: QueuePairOptions): Promise<QueuePair>;
  inspect(queueName: string): Promise<QueueContents>;
  stop(): Promise<void>;
}

/**
 * Starts fauxqs in this process, on a free port of 127.0.0.1 (its own `startFauxqs` listens on every interface).
 * The credentials that the SDK needs may be anything: nothing checks them. It drops MessageGroupId and AWSTraceHeader
 * of standard queues, and knows no move tasks: what needs those is tested against ElasticMQ or through the proxy.
 */
export async function startEmulator({
  region = 'eu-central-1',
}: {
  region?: string;
} = {}): Promise<Emulator> {
  const app = buildApp({ logger: false, host: 'localhost', defaultRegion: region });
  const endpoint = await app.listen({ port: 0, host: '127.0.0.1' });
  return {
    endpoint,
    region,
    createQueuePair: (options) => createQueuePair({ endpoint, region }, options),
    async inspect(queueName) {
      const answer = await app.inject({ method: 'GET', url: `/_fauxqs/queues/${queueName}` });
      if (answer.statusCode !== 200) throw new Error(`no queue ${queueName}`);
      return answer.json<{ messages: QueueContents }>().messages;
    },
    async stop() {
      await app.close();
    },
  };
}
