import { ReceiveMessageCommand, StartMessageMoveTaskCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { batchesOfTen } from '../../../services/queue/batch-call.ts';
import { findDeadLetterQueue, findMoveTask } from '../../../services/queue/dead-letter-queue.ts';
import { DeadLetters } from '../../../services/queue/dead-letters.ts';
import { type QueueMessage, toQueueMessage } from '../../../services/queue/message.ts';
import { changeVisibilityInBatches, deleteInBatches } from '../../../services/queue/message-batches.ts';
import { type OutgoingMessage, sendMessages } from '../../../services/queue/producer.ts';
import { ensureQueue, type QueueInfo } from '../../../services/queue/provision.ts';
import type { QueueClients } from '../../../services/queue/sqs.ts';
import { elasticMqAvailable, startElasticMq } from '../../support/elasticmq.ts';
import { startEmulator } from '../../support/emulator.ts';
import { eventually } from '../../support/eventually.ts';
import { createQueuePair, uniqueQueueName } from '../../support/queue-pair.ts';
import { clientsFor, type SqsEndpoint } from '../../support/sqs-under-test.ts';

const hasElasticMq = await elasticMqAvailable();

interface Implementation {
  name: string;
  start: () => Promise<(SqsEndpoint & { stop(): Promise<void> }) | null>;
  /** What AWS does and not every emulator: fair-queue groups, trace headers, sources of a DLQ, move tasks. */
  complete: boolean;
}

const traceHeader = 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1';
const attributes = {
  tenant: { DataType: 'String', StringValue: 'blue' },
  weight: { DataType: 'Number', StringValue: '5' },
  raw: { DataType: 'Binary', BinaryValue: new Uint8Array([0, 127, 255]) },
};

describe('fauxqs', () => contract({ name: 'fauxqs', start: () => startEmulator(), complete: false }));

(hasElasticMq ? describe : describe.skip)(
  hasElasticMq ? 'ElasticMQ' : 'ElasticMQ (skipped: no Java, or no Maven, on this machine)',
  () => contract({ name: 'ElasticMQ', start: () => startElasticMq(), complete: true }),
);

function contract(implementation: Implementation): void {
  let sqs: SqsEndpoint & { stop(): Promise<void> };
  let clients: QueueClients;
  let queue: QueueInfo;

  beforeAll(async () => {
    const started = await implementation.start();
    if (started === null) throw new Error(`${implementation.name} did not start`);
    sqs = started;
    clients = clientsFor(sqs);
    // The first use on a machine fetches the server.
  }, 300_000);
  afterAll(async () => {
    clients?.destroy();
    await sqs?.stop();
  });
  beforeEach(async () => {
    queue = await provision({ maxReceiveCount: 10 });
  });

  function provision({
    name = uniqueQueueName(),
    maxReceiveCount,
  }: {
    name?: string;
    maxReceiveCount: number;
  }) {
    return ensureQueue(clients, {
      name,
      deadLetterName: `${name}-dlq`,
      visibilityTimeoutSeconds: 30,
      maxReceiveCount,
      mode: 'create',
    });
  }

  async function receive(url: string, visibilityTimeoutSeconds = 30): Promise<QueueMessage[]> {
    const { Messages = [] } = await clients.settling.send(
      new ReceiveMessageCommand({
        QueueUrl: url,
        MaxNumberOfMessages: 10,
        VisibilityTimeout: visibilityTimeoutSeconds,
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: ['All'],
      }),
    );
    return Messages.map((raw) => toQueueMessage(raw, 0));
  }

  async function send(url: string, messages: OutgoingMessage[]): Promise<void> {
    const results = await sendMessages(clients, url, messages);
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
  }

  test('queues are created once, and found again with their dead-letter queue', async () => {
    expect(await provision({ name: queue.name, maxReceiveCount: 10 })).toEqual(queue);
    expect(await findDeadLetterQueue(clients, queue.name)).toMatchObject({
      url: queue.deadLetterUrl,
      arn: queue.deadLetterArn,
      sourceUrl: queue.url,
      sourceArn: queue.arn,
      depth: 0,
    });
  });

  test('a batch arrives with bodies, attributes and system attributes', async () => {
    const sentAfterMs = Date.now() - 1_000;
    await send(queue.url, [{ body: 'Grüße €', attributes, groupId: 'sen_1', traceHeader }, { body: 'b' }]);
    const received = await receive(queue.url);
    const message = received.find(({ body }) => body === 'Grüße €');
    expect(received.map(({ body }) => body).sort()).toEqual(['Grüße €', 'b']);
    expect(message?.attributes).toEqual(attributes);
    expect(message?.receiveCount).toBe(1);
    expect(message?.sentAt.getTime()).toBeGreaterThan(sentAfterMs);
    expect(message?.groupId).toBe(implementation.complete ? 'sen_1' : undefined);
    expect(message?.traceHeader).toBe(implementation.complete ? traceHeader : undefined);
  });

  test('a full MiB is taken whole', async () => {
    await send(queue.url, [{ body: 'x'.repeat(1_048_576) }]);
    expect((await receive(queue.url))[0]?.body.length).toBe(1_048_576);
  });

  test('a received message is hidden, comes back when released, with its count raised, and goes when deleted', async () => {
    await send(queue.url, [{ body: 'a' }]);
    const first = await receive(queue.url);
    expect(await receive(queue.url)).toEqual([]);
    expect(await changeVisibilityInBatches(clients, queue.url, first, 0, {})).toMatchObject([{ ok: true }]);
    const second = await receive(queue.url);
    expect(second).toMatchObject([{ messageId: first[0]?.messageId, receiveCount: 2 }]);
    expect(await deleteInBatches(clients, queue.url, second, {})).toMatchObject([{ ok: true }]);
    expect(await changeVisibilityInBatches(clients, queue.url, second, 0, {})).toMatchObject([{ ok: false }]);
    expect(await receive(queue.url)).toEqual([]);
  });

  test('a message received too often is dead-lettered with all that it carries', async () => {
    const impatient = await provision({ maxReceiveCount: 1 });
    await send(impatient.url, [{ body: 'a', attributes, groupId: 'sen_1', traceHeader }]);
    await receive(impatient.url, 0);
    expect(await receive(impatient.url, 0)).toEqual([]);
    const [message] = await receive(impatient.deadLetterUrl);
    expect(message).toMatchObject({ body: 'a', attributes });
    expect(message?.traceHeader).toBe(implementation.complete ? traceHeader : undefined);
  });

  test('P37: redrive keeps body, attributes, group and trace context, and takes off the marks of the death', async () => {
    const mark = { DataType: 'String', StringValue: 'transient' };
    const buried = { ...attributes, dead_letter_class: mark, dead_letter_reason: mark };
    await send(queue.deadLetterUrl, [{ body: 'a', attributes: buried, groupId: 'sen_1', traceHeader }]);
    const results = await redriveAll();
    expect(results).toMatchObject([{ kind: 'redriven' }]);
    const [message] = await receive(queue.url);
    expect(message).toMatchObject({ body: 'a', receiveCount: 1 });
    expect(message?.attributes).toEqual(attributes);
    expect(message?.groupId).toBe(implementation.complete ? 'sen_1' : undefined);
    expect(message?.traceHeader).toBe(implementation.complete ? traceHeader : undefined);
    expect(await receive(queue.deadLetterUrl)).toEqual([]);
  });

  test('P36: a scan of hundreds meets each once, ends, and leaves them visible', async () => {
    const bodies = Array.from({ length: 230 }, (_, index) => `dead ${index}`);
    await send(
      queue.deadLetterUrl,
      bodies.map((body) => ({ body })),
    );
    for (const _round of [1, 2]) {
      const run = new DeadLetters(clients, queue.deadLetterUrl);
      const met: string[] = [];
      for await (const page of run.scan()) met.push(...page.map(({ body }) => body));
      await run.close();
      expect(met.sort()).toEqual([...bodies].sort());
    }
  });

  if (implementation.complete) {
    test('P41: a move task that SQS itself runs is detected, and gone when it has ended', async () => {
      const pair = await createQueuePair(sqs);
      expect(await findMoveTask(clients, pair.deadLetterArn)).toEqual({ known: true, task: null });
      await send(pair.deadLetterUrl, [{ body: 'a' }, { body: 'b' }, { body: 'c' }]);
      const task = { SourceArn: pair.deadLetterArn, MaxNumberOfMessagesPerSecond: 1 };
      await clients.settling.send(new StartMessageMoveTaskCommand(task));
      expect(await findMoveTask(clients, pair.deadLetterArn)).toMatchObject({
        task: { status: 'RUNNING' },
      });
      await eventually(async () =>
        expect(await findMoveTask(clients, pair.deadLetterArn)).toEqual({ known: true, task: null }),
      );
      expect((await receive(pair.url)).map(({ body }) => body).sort()).toEqual(['a', 'b', 'c']);
    });
  } else {
    test('P41: where move tasks are unknown, that is what is said', async () => {
      expect(await findMoveTask(clients, queue.deadLetterArn)).toMatchObject({ known: false, task: null });
    });
  }

  async function redriveAll() {
    const run = new DeadLetters(clients, queue.deadLetterUrl);
    const results = [];
    for await (const page of run.scan({ waitTimeSeconds: 0 })) {
      for (const batch of batchesOfTen(page)) results.push(...(await run.redrive(batch, queue.url)));
    }
    await run.close();
    return results;
  }
}
