import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  findDeadLetterQueue,
  findMoveTask,
  NoDeadLetterQueueError,
} from '../../../services/queue/dead-letter-queue.ts';
import {
  DeadLetters,
  type DeadLettersOptions,
  type ScanOptions,
} from '../../../services/queue/dead-letters.ts';
import type { QueueMessage } from '../../../services/queue/message.ts';
import { sendMessages } from '../../../services/queue/producer.ts';
import { type Emulator, startEmulator } from '../../support/emulator.ts';
import { eventually } from '../../support/eventually.ts';
import {
  duplicate,
  failEntries,
  htmlError,
  httpError,
  loseResponse,
  refuse,
  respondWith,
  rewriteResponse,
} from '../../support/faults.ts';
import type { QueuePair } from '../../support/queue-pair.ts';
import { behindProxy } from '../../support/sqs-under-test.ts';

let emulator: Emulator;
let behind: Awaited<ReturnType<typeof behindProxy>>;
let queue: QueuePair;
let opened: DeadLetters[];

beforeAll(async () => {
  emulator = await startEmulator();
});
beforeEach(async () => {
  behind = await behindProxy(emulator);
  queue = await emulator.createQueuePair();
  opened = [];
});
afterEach(async () => {
  behind.proxy.heal();
  for (const run of opened) await run.close();
  await behind.close();
});
afterAll(() => emulator.stop());

const noPause = { random: () => 0 };

function open(options: DeadLettersOptions = {}): DeadLetters {
  const run = new DeadLetters(behind.clients, queue.deadLetterUrl, { ...noPause, ...options });
  opened.push(run);
  return run;
}

async function bury(count: number): Promise<string[]> {
  const bodies = Array.from({ length: count }, (_, index) => `dead ${index}`);
  await sendMessages(
    behind.clients,
    queue.deadLetterUrl,
    bodies.map((body) => ({ body })),
  );
  return bodies.sort();
}

async function scanAll(run: DeadLetters, options: ScanOptions = {}): Promise<QueueMessage[]> {
  const messages: QueueMessage[] = [];
  for await (const page of run.scan({ waitTimeSeconds: 0, ...options })) messages.push(...page);
  return messages;
}

const bodiesOf = (messages: readonly { body: string }[]) => messages.map(({ body }) => body).sort();
const dead = () => emulator.inspect(queue.deadLetterName);
const alive = () => emulator.inspect(queue.name);

describe('scan', () => {
  test('P36: a scan meets each message once, ends, and leaves all of them visible again', async () => {
    const bodies = await bury(137);
    const run = open();
    expect(bodiesOf(await scanAll(run))).toEqual(bodies);
    expect(await scanAll(run)).toEqual([]);
    expect((await dead()).inflight).toHaveLength(137);
    await run.close();
    expect(bodiesOf((await dead()).ready)).toEqual(bodies);
    expect((await dead()).inflight).toEqual([]);
  });

  test('P36: messages released while the scan goes on are not met again, and are visible afterwards', async () => {
    const bodies = await bury(45);
    const run = open();
    const met: QueueMessage[] = [];
    for await (const page of run.scan({ receivers: 1, waitTimeSeconds: 0 })) {
      met.push(...page);
      await run.release(page);
    }
    expect(bodiesOf(met)).toEqual(bodies);
    expect(bodiesOf((await dead()).ready)).toEqual(bodies);
  });

  test('P36: a queue that delivers everything again and again is scanned to an end', async () => {
    await bury(12);
    const everything = (await dead()).ready.map(({ messageId, body }) => ({
      MessageId: messageId,
      Body: body,
      ReceiptHandle: messageId,
    }));
    behind.proxy.inject({
      operation: 'ReceiveMessage',
      fault: respondWith(() => ({ Messages: everything })),
    });
    expect(await scanAll(open())).toHaveLength(12);
    expect(behind.proxy.requests('ReceiveMessage')).toBeLessThanOrEqual(17);
  });

  test('P36: a scan that is left early hands everything back', async () => {
    const bodies = await bury(30);
    const run = open();
    for await (const _page of run.scan({ receivers: 1 })) break;
    await run.close();
    expect(bodiesOf((await dead()).ready)).toEqual(bodies);
  });

  test('messages delivered twice are handed out once', async () => {
    await bury(10);
    behind.proxy.inject({ operation: 'ReceiveMessage', fault: duplicate() });
    expect(await scanAll(open())).toHaveLength(10);
  });

  test('no more than maxMessages are taken', async () => {
    await bury(40);
    expect(await scanAll(open(), { maxMessages: 23 })).toHaveLength(23);
    expect((await dead()).ready).toHaveLength(17);
  });

  test('an abort ends the scan before its next page', async () => {
    await bury(40);
    const abort = new AbortController();
    const run = open();
    let pages = 0;
    for await (const _page of run.scan({ receivers: 1, signal: abort.signal })) {
      pages += 1;
      abort.abort();
    }
    expect(pages).toBe(1);
  });

  test('a failing receive is thrown, and what was met until then is handed back by close', async () => {
    const bodies = await bury(20);
    behind.proxy.inject({
      operation: 'ReceiveMessage',
      fault: httpError(400, { code: 'AccessDeniedException' }),
      when: () => behind.proxy.requests('ReceiveMessage') > 1,
    });
    const run = open();
    await expect(scanAll(run, { receivers: 1 })).rejects.toMatchObject({ name: 'AccessDeniedException' });
    behind.proxy.heal();
    await run.close();
    expect(bodiesOf((await dead()).ready)).toEqual(bodies);
  });
});

describe('hold', () => {
  test('messages stay hidden beyond their visibility timeout while the run goes on', async () => {
    await bury(15);
    const run = open({ visibilityTimeoutSeconds: 1 });
    const messages = await scanAll(run);
    const deadlines = async () =>
      Math.min(...(await dead()).inflight.map(({ visibilityDeadline }) => visibilityDeadline));
    const firstDeadline = await deadlines();
    await eventually(async () => expect(await deadlines()).toBeGreaterThan(firstDeadline + 700));
    expect((await run.redrive(messages, queue.url)).every(({ kind }) => kind === 'redriven')).toBe(true);
    expect((await alive()).ready).toHaveLength(15);
  });

  test('a message whose hold ran out is neither sent nor deleted', async () => {
    await bury(3);
    let nowMs = Date.now();
    const run = open({ now: () => nowMs, visibilityTimeoutSeconds: 60 });
    const messages = await scanAll(run);
    nowMs += 61_000;
    const lost = { kind: 'not-sent', reason: 'hold_lost', retryable: true };
    expect(await run.redrive(messages, queue.url)).toEqual([lost, lost, lost]);
    expect(await run.deleteMessages(messages.slice(0, 1))).toEqual([
      { ok: false, reason: 'hold_lost', retryable: true },
    ]);
    expect((await alive()).ready).toEqual([]);
    expect((await dead()).inflight).toHaveLength(3);
  });

  test('a message that SQS delivers after its delete is deleted again, not redriven again', async () => {
    await bury(4);
    const run = open();
    behind.proxy.inject({ operation: 'ReceiveMessage', times: 2, fault: duplicate({ at: 'next-receive' }) });
    const pages = run.scan({ receivers: 1, waitTimeSeconds: 0 });
    const first = await pages.next();
    expect(await run.redrive(first.value ?? [], queue.url)).toHaveLength(4);
    expect(await pages.next()).toMatchObject({ done: true });
    expect(await scanAll(run)).toEqual([]);
    expect((await alive()).ready).toHaveLength(4);
    expect(behind.proxy.bodies('DeleteMessageBatch')).toHaveLength(2);
  });
});

describe('redrive', () => {
  test('P35: after a partial send failure exactly the sent entries are deleted', async () => {
    await bury(25);
    const run = open({ attempts: 2 });
    const messages = await scanAll(run);
    const unlucky = new Set(messages.filter((_m, index) => index % 4 === 0).map(({ body }) => body));
    behind.proxy.inject({
      operation: 'SendMessageBatch',
      fault: failEntries(({ MessageBody }) => unlucky.has(String(MessageBody))),
    });
    const results = await run.redrive(messages, queue.url);
    behind.proxy.heal();
    const byBody = messages.map(({ body }, index) => [body, results[index]?.kind]);
    expect(byBody.filter(([, kind]) => kind === 'not-sent').map(([body]) => body)).toEqual([...unlucky]);
    expect(bodiesOf((await alive()).ready)).toEqual(
      bodiesOf(messages.filter(({ body }) => !unlucky.has(body))),
    );
    await run.close();
    expect(bodiesOf((await dead()).ready)).toEqual([...unlucky].sort());
  });

  test('P35: a send whose answer is lost deletes nothing', async () => {
    const bodies = await bury(5);
    const run = open();
    const messages = await scanAll(run);
    behind.proxy.inject({ operation: 'SendMessageBatch', fault: loseResponse() });
    const results = await run.redrive(messages, queue.url);
    expect(results.every(({ kind }) => kind === 'not-sent')).toBe(true);
    expect(behind.proxy.requests('DeleteMessageBatch')).toBe(0);
    await run.close();
    expect(bodiesOf((await dead()).ready)).toEqual(bodies);
  });

  test('P35: a delete that fails after the send is told apart; nothing is deleted before it is sent', async () => {
    await bury(10);
    const run = open({ attempts: 2 });
    const messages = await scanAll(run);
    behind.proxy.inject({
      operation: 'DeleteMessageBatch',
      fault: failEntries((_entry, index) => index === 0),
    });
    const results = await run.redrive(messages, queue.url);
    expect(results.filter(({ kind }) => kind === 'sent-not-deleted')).toMatchObject([
      { reason: 'InternalError' },
    ]);
    expect((await alive()).ready).toHaveLength(10);
    expect((await dead()).inflight).toHaveLength(1);
    behind.proxy.heal();
    await run.close();
    expect((await dead()).ready).toHaveLength(1);
  });

  test('P8: deletes that fail inside an HTTP 200 are repeated entry by entry', async () => {
    await bury(10);
    const run = open();
    const messages = await scanAll(run);
    behind.proxy.inject({
      operation: 'DeleteMessageBatch',
      times: 1,
      fault: failEntries((_entry, index) => index < 3),
    });
    expect((await run.deleteMessages(messages)).every(({ ok }) => ok)).toBe(true);
    const sizes = behind.proxy.bodies('DeleteMessageBatch').map(({ Entries }) => (Entries as []).length);
    expect(sizes).toEqual([10, 3]);
    expect((await dead()).inflight).toEqual([]);
  });

  test('P8: releases that fail inside an HTTP 200 are repeated entry by entry', async () => {
    const bodies = await bury(10);
    const run = open();
    const messages = await scanAll(run);
    behind.proxy.inject({
      operation: 'ChangeMessageVisibilityBatch',
      times: 1,
      fault: failEntries((_entry, index) => index < 4),
    });
    await run.release(messages);
    expect(bodiesOf((await dead()).ready)).toEqual(bodies);
    expect(behind.proxy.requests('ChangeMessageVisibilityBatch')).toBe(2);
  });

  test('P37: attributes, group and trace context survive; the marks of the death do not', async () => {
    const kept = {
      tenant: { DataType: 'String', StringValue: 'blue' },
      weight: { DataType: 'Number.int', StringValue: '5' },
      raw: { DataType: 'Binary', BinaryValue: new Uint8Array([0, 255]) },
    };
    const marks = {
      dead_letter_class: { DataType: 'String', StringValue: 'transient' },
      dead_letter_reason: { DataType: 'String', StringValue: 'smtp_unavailable' },
    };
    await sendMessages(behind.clients, queue.deadLetterUrl, [
      { body: 'a', attributes: { ...kept, ...marks } },
    ]);
    const traceHeader = 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1';
    behind.proxy.inject({
      operation: 'ReceiveMessage',
      fault: rewriteResponse((answer) => ({
        Messages: ((answer['Messages'] ?? []) as { Attributes: object }[]).map((message) => ({
          ...message,
          Attributes: { ...message.Attributes, MessageGroupId: 'sen_1', AWSTraceHeader: traceHeader },
        })),
      })),
    });
    const run = open();
    await run.redrive(await scanAll(run), queue.url);
    expect(behind.proxy.bodies('SendMessageBatch').at(-1)?.['Entries']).toEqual([
      {
        Id: '0',
        MessageBody: 'a',
        MessageAttributes: { ...kept, raw: { DataType: 'Binary', BinaryValue: 'AP8=' } },
        MessageGroupId: 'sen_1',
        MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: traceHeader } },
      },
    ]);
    expect(Object.keys((await alive()).ready[0]?.messageAttributes ?? {}).sort()).toEqual([
      'raw',
      'tenant',
      'weight',
    ]);
  });
});

describe('the queue itself', () => {
  test('is found through its source’s redrive policy', async () => {
    await bury(3);
    expect(await findDeadLetterQueue(behind.clients, queue.name)).toEqual({
      url: queue.deadLetterUrl,
      sourceRetentionSeconds: 345_600,
      arn: queue.deadLetterArn,
      sourceUrl: queue.url,
      sourceArn: queue.arn,
      depth: 3,
      retentionSeconds: 1_209_600,
    });
  });

  test('a queue without a redrive policy is an error that says so', async () => {
    await expect(findDeadLetterQueue(behind.clients, queue.deadLetterName)).rejects.toThrow(
      NoDeadLetterQueueError,
    );
  });

  test('P41: a running move task is detected; ended ones are none', async () => {
    const task = { SourceArn: queue.deadLetterArn, StartedTimestamp: 1_700_000_000_000 };
    const answerWith = (...statuses: string[]) => {
      behind.proxy.heal();
      const Results = statuses.map((Status) => ({ ...task, Status, ApproximateNumberOfMessagesMoved: 7 }));
      behind.proxy.inject({ operation: 'ListMessageMoveTasks', fault: respondWith({ Results }) });
    };
    answerWith('COMPLETED', 'FAILED', 'CANCELLED');
    expect(await findMoveTask(behind.clients, queue.deadLetterArn)).toEqual({ known: true, task: null });
    answerWith('COMPLETED', 'RUNNING');
    expect(await findMoveTask(behind.clients, queue.deadLetterArn)).toEqual({
      known: true,
      task: {
        status: 'RUNNING',
        startedAt: new Date(1_700_000_000_000),
        movedCount: 7,
        toMoveCount: null,
      },
    });
    answerWith('CANCELLING');
    expect(await findMoveTask(behind.clients, queue.deadLetterArn)).toMatchObject({
      task: { status: 'CANCELLING' },
    });
  });

  test.each([
    ['an unknown operation', httpError(400, { code: 'UnsupportedOperation' })],
    ['a permission that is missing', httpError(403, { code: 'AccessDeniedException' })],
    ['a page of HTML with status 500', htmlError(500)],
    ['a page of HTML with status 404', htmlError(404)],
    ['what is not implemented', httpError(501, { code: 'InternalFailure' })],
  ])('the optional is not required: %s tells that move tasks are unknown', async (_what, fault) => {
    behind.proxy.inject({ operation: 'ListMessageMoveTasks', fault });
    expect(await findMoveTask(behind.clients, queue.deadLetterArn)).toMatchObject({
      known: false,
      task: null,
    });
  });

  test.each([
    ['no answer', refuse()],
    ['a service that asks for less', httpError(400, { code: 'ThrottlingException' })],
  ])('P41: %s is not taken for "no task"', async (_what, fault) => {
    behind.proxy.inject({ operation: 'ListMessageMoveTasks', fault });
    await expect(findMoveTask(behind.clients, queue.deadLetterArn)).rejects.toThrow();
  });
});
