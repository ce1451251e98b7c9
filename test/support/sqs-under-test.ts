import { createQueueClients, type QueueClientOptions, type QueueClients } from '../../services/queue/sqs.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';

/** Anything that speaks SQS: an emulator of ours, or another. */
export interface SqsEndpoint {
  endpoint: string;
  region: string;
}

/** Clients of our own configuration towards an emulator, with credentials that nobody checks. */
export function clientsFor(
  { endpoint, region }: SqsEndpoint,
  options: Partial<QueueClientOptions> = {},
): QueueClients {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  return createQueueClients({ endpoint, region, credentials, ...options });
}

/** A fault proxy before the endpoint, and clients that go through it. */
export async function behindProxy(
  sqs: SqsEndpoint,
  options: Partial<QueueClientOptions> = {},
): Promise<{ proxy: FaultProxy; clients: QueueClients; close(): Promise<void> }> {
  const proxy = await startFaultProxy(sqs.endpoint);
  const clients = clientsFor({ endpoint: proxy.endpoint, region: sqs.region }, options);
  return {
    proxy,
    clients,
    async close() {
      clients.destroy();
      await proxy.stop();
    },
  };
}
