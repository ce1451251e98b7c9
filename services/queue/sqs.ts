import { SQSClient, type SQSClientConfig } from '@aws-sdk/client-sqs';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { type AbilityChange, SendAbilities } from './send-abilities.ts';

export interface QueueClients {
  /** Long polls only. The SDK does not retry here: the receive loop backs off itself, with jitter. */
  readonly receiving: SQSClient;
  /** Everything else: sends, deletes, visibility, attributes. */
  readonly settling: SQSClient;
  /** What their queues turned out to take; both ends of a process learn it by sending. */
  readonly abilities: SendAbilities;
  destroy(): void;
}

export interface RequestOutcome {
  readonly ok: boolean;
  readonly durationMs: number;
  /** Error name (never its message) when the request failed. */
  readonly error?: string;
}

export interface QueueClientOptions {
  readonly region: string;
  /** Base URL of an emulator or VPC endpoint; left out, the SDK resolves it (and reads AWS_ENDPOINT_URL_SQS). */
  readonly endpoint?: string;
  readonly credentials?: NonNullable<SQSClientConfig['credentials']>;
  /** Connections that each client opens at most; what exceeds them waits for its turn. Default 64. */
  readonly maxSockets?: number;
  /** Called once per HTTP request, SDK retries included; `operation` without "Command", e.g. `DeleteMessageBatch`. */
  readonly onRequest?: (operation: string, outcome: RequestOutcome) => void;
  /** Told when a queue turns out to take group ids or trace headers, or not to. */
  readonly onAbility?: (change: AbilityChange) => void;
}

const connectionTimeoutMs = 3_000;
const settleTimeoutMs = 10_000;
const defaultMaxSockets = 64;

/**
 * Two clients with sockets of their own: twenty-second polls must never stand between a finished message and its delete.
 * `requestTimeout` is left off the receiving client because the poller cuts each receive at its own wait time.
 */
export function createQueueClients(options: QueueClientOptions): QueueClients {
  const receiving = createClient(options, 1, 0);
  const settling = createClient(options, 3, settleTimeoutMs);
  return {
    receiving,
    settling,
    abilities: new SendAbilities(options.onAbility),
    destroy() {
      receiving.destroy();
      settling.destroy();
    },
  };
}

function createClient(options: QueueClientOptions, maxAttempts: number, requestTimeoutMs: number): SQSClient {
  const agent = { keepAlive: true, maxSockets: options.maxSockets ?? defaultMaxSockets };
  const client = new SQSClient({
    region: options.region,
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
    maxAttempts,
    // One message with a wrong checksum would throw away its nine neighbours for a whole visibility timeout; TLS already
    // guards the bytes.
    md5: false,
    // A queue URL names the host by which somebody else reaches the queue (an emulator's, another VPC's), not ours.
    useQueueUrlAsEndpoint: false,
    requestHandler: new NodeHttpHandler({
      connectionTimeout: connectionTimeoutMs,
      ...(requestTimeoutMs === 0 ? {} : { requestTimeout: requestTimeoutMs, throwOnRequestTimeout: true }),
      httpAgent: agent,
      // Said here, because NODE_TLS_REJECT_UNAUTHORIZED=0, set for something else, would trust whoever answers.
      httpsAgent: { ...agent, rejectUnauthorized: true },
    }),
  });
  if (options.onRequest !== undefined) countRequests(client, options.onRequest);
  return client;
}

function countRequests(client: SQSClient, onRequest: NonNullable<QueueClientOptions['onRequest']>): void {
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const operation = String(context['commandName'] ?? 'Unknown').replace(/Command$/, '');
      const startedAt = performance.now();
      try {
        const result = await next(args);
        onRequest(operation, { ok: true, durationMs: performance.now() - startedAt });
        return result;
      } catch (error) {
        const name = error instanceof Error ? error.name : 'UnknownError';
        onRequest(operation, { ok: false, durationMs: performance.now() - startedAt, error: name });
        throw error;
      }
    },
    // The innermost step runs once per HTTP attempt, so retries are counted as what they cost.
    { step: 'deserialize', name: 'largesseCountRequests', priority: 'low' },
  );
}
