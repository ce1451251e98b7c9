import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

export interface EndlessQueue {
  endpoint: string;
  url: string;
  deadLetterUrl: string;
  /** Deletes so far. */
  deleted(): number;
  requests(): number;
  /** From now on receives are answered empty, after their wait time. */
  runDry(): void;
  stop(): Promise<void>;
}

type Json = Record<string, unknown>;
type Entries = { Id: string }[];

/**
 * The least that speaks SQS's JSON protocol: always has messages, keeps no state but counts, so that what is measured is the
 * consumer and not an emulator. Nothing comes back after a visibility time-out: it is for throughput and memory, not semantics.
 */
export async function startEndlessQueue({
  latencyMs = 0,
  body = '{"type":"gift.deliver","version":1,"id":"gft_00000000000000000000000000"}',
}: {
  latencyMs?: number;
  body?: string;
} = {}): Promise<EndlessQueue> {
  let serial = 0;
  let dry = false;
  let requestCount = 0;
  let deletedCount = 0;

  function createMessage(): Json {
    serial += 1;
    const sentAt = String(Date.now());
    return {
      MessageId: `m${serial}`,
      ReceiptHandle: `r${serial}`,
      Body: body,
      Attributes: {
        ApproximateReceiveCount: '1',
        SentTimestamp: sentAt,
        ApproximateFirstReceiveTimestamp: sentAt,
      },
    };
  }

  const confirmAll = ({ Entries: entries }: Json) => ({
    Successful: (entries as Entries).map(({ Id }) => ({ Id, MessageId: Id })),
    Failed: [],
  });

  const operations: Record<string, (request: Json) => Json | Promise<Json>> = {
    async ReceiveMessage(request) {
      if (dry) await wait(Number(request['WaitTimeSeconds'] ?? 0) * 1_000, undefined, { ref: false });
      if (dry) return {};
      return { Messages: Array.from({ length: Number(request['MaxNumberOfMessages'] ?? 1) }, createMessage) };
    },
    DeleteMessageBatch(request) {
      deletedCount += (request['Entries'] as Entries).length;
      return confirmAll(request);
    },
    DeleteMessage() {
      deletedCount += 1;
      return {};
    },
    ChangeMessageVisibilityBatch: confirmAll,
    SendMessageBatch: confirmAll,
    ChangeMessageVisibility: () => ({}),
    GetQueueAttributes: () => ({ Attributes: { VisibilityTimeout: '30' } }),
  };

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    requestCount += 1;
    const operation = String(req.headers['x-amz-target']).split('.')[1] ?? '';
    let text = '';
    for await (const chunk of req) text += chunk;
    if (latencyMs > 0) await wait(latencyMs);
    const run = operations[operation];
    const result =
      run === undefined ? { __type: `no ${operation} here` } : await run(JSON.parse(text) as Json);
    const json = JSON.stringify(result);
    res.writeHead(run === undefined ? 400 : 200, {
      'content-type': 'application/x-amz-json-1.0',
      'content-length': Buffer.byteLength(json),
    });
    res.end(json);
  }

  const server = createServer((req, res) => {
    answer(req, res).catch(() => res.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    endpoint,
    url: `${endpoint}/000000000000/endless`,
    deadLetterUrl: `${endpoint}/000000000000/endless-dlq`,
    deleted: () => deletedCount,
    requests: () => requestCount,
    runDry() {
      dry = true;
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
