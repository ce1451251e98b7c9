import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { DeadLetters } from '../../services/queue/dead-letters.ts';
import { sendMessages } from '../../services/queue/producer.ts';
import { createQueueClients, type QueueClients } from '../../services/queue/sqs.ts';
import { createQueuePair, type QueuePair } from '../support/queue-pair.ts';
import type { SqsEndpoint } from '../support/sqs-under-test.ts';

export interface RedriveBenchRow {
  runtime: string;
  messages: number;
  messagesPerSecond: number;
  requestsPerMessage: number;
}

/** Answers how many messages it moved. */
type Redrive = (clients: QueueClients, queue: QueuePair) => Promise<number>;

/** AWS's own redrive stops at 500 messages/s. */
const contestants: [name: string, redrive: Redrive][] = [
  ['largesse', redriveWithDeadLetters],
  ['receive-send-delete loop, one by one', redriveOneByOne],
];

/** Moves dead letters back, ours and the loop that is usually written for it, in one run against one emulator. */
export async function run({ messages = 5_000 } = {}): Promise<RedriveBenchRow[]> {
  const child = fork(fileURLToPath(new URL('./emulator-process.ts', import.meta.url)));
  try {
    const [sqs] = (await Promise.race([once(child, 'message'), failsToStart(child)])) as [SqsEndpoint];
    // A start-up that counts for nobody: connections, compiled code.
    await measure(sqs, 'warm-up', 1_000, redriveWithDeadLetters);
    const rows: RedriveBenchRow[] = [];
    for (const [name, redrive] of contestants) rows.push(await measure(sqs, name, messages, redrive));
    return rows;
  } finally {
    if (child.connected) child.disconnect();
    if (child.exitCode === null) await once(child, 'exit');
  }
}

async function failsToStart(child: ChildProcess): Promise<never> {
  const [code] = await once(child, 'exit');
  throw new Error(`the emulator's process ended with ${code}`);
}

async function measure(
  sqs: SqsEndpoint,
  runtime: string,
  messages: number,
  redrive: Redrive,
): Promise<RedriveBenchRow> {
  let requests = 0;
  const clients = createQueueClients({
    endpoint: sqs.endpoint,
    region: sqs.region,
    credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
    onRequest: () => {
      requests += 1;
    },
  });
  try {
    const queue = await createQueuePair(sqs);
    await bury(clients, queue, messages);
    requests = 0;
    const startedAt = performance.now();
    const moved = await redrive(clients, queue);
    if (moved !== messages) throw new Error(`${runtime} moved ${moved} of ${messages} messages`);
    const seconds = (performance.now() - startedAt) / 1_000;
    return {
      runtime,
      messages,
      messagesPerSecond: Math.round(messages / seconds),
      requestsPerMessage: Number((requests / messages).toFixed(2)),
    };
  } finally {
    clients.destroy();
  }
}

async function bury(clients: QueueClients, queue: QueuePair, count: number): Promise<void> {
  const attributes = { dead_letter_class: { DataType: 'String', StringValue: 'transient' } };
  const letters = Array.from({ length: count }, (_, index) => ({
    body: JSON.stringify({ type: 'gift.deliver', version: 1, id: `gft_${index}`, attempt_hint: 0 }),
    attributes,
  }));
  const sent = await sendMessages(clients, queue.deadLetterUrl, letters);
  if (!sent.every(({ ok }) => ok)) throw new Error('the emulator did not take the dead letters');
}

/** The confirming long poll at the end (1 s, once per run whatever its length) is left out on both sides. */
async function redriveWithDeadLetters(clients: QueueClients, queue: QueuePair): Promise<number> {
  let moved = 0;
  const run = new DeadLetters(clients, queue.deadLetterUrl);
  try {
    for await (const page of run.scan({ waitTimeSeconds: 0 })) {
      const results = await run.redrive(page, queue.url);
      moved += results.filter(({ kind }) => kind === 'redriven').length;
    }
    return moved;
  } finally {
    await run.close();
  }
}

async function redriveOneByOne({ settling }: QueueClients, queue: QueuePair): Promise<number> {
  let moved = 0;
  for (;;) {
    const { Messages = [] } = await settling.send(
      new ReceiveMessageCommand({
        QueueUrl: queue.deadLetterUrl,
        MaxNumberOfMessages: 10,
        VisibilityTimeout: 120,
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: ['All'],
      }),
    );
    if (Messages.length === 0) return moved;
    for (const { Body, MessageAttributes, ReceiptHandle } of Messages) {
      await settling.send(
        new SendMessageCommand({ QueueUrl: queue.url, MessageBody: Body, MessageAttributes }),
      );
      await settling.send(new DeleteMessageCommand({ QueueUrl: queue.deadLetterUrl, ReceiptHandle }));
      moved += 1;
    }
  }
}

if (import.meta.main) console.table(await run());
