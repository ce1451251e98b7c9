import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  maxBatchBytes,
  messageBytes,
  type OutgoingMessage,
  sendMessages,
} from '../../../services/queue/producer.ts';
import { type Emulator, startEmulator } from '../../support/emulator.ts';
import { failEntries, hang, httpError, loseResponse } from '../../support/faults.ts';
import type { QueuePair } from '../../support/queue-pair.ts';
import { behindProxy } from '../../support/sqs-under-test.ts';

let emulator: Emulator;
let behind: Awaited<ReturnType<typeof behindProxy>>;
let queue: QueuePair;

beforeAll(async () => {
  emulator = await startEmulator();
});
beforeEach(async () => {
  behind = await behindProxy(emulator);
  queue = await emulator.createQueuePair();
});
afterEach(() => behind.close());
afterAll(() => emulator.stop());

const send = (messages: OutgoingMessage[], options = {}) =>
  sendMessages(behind.clients, queue.url, messages, options);
const numbered = (count: number): OutgoingMessage[] =>
  Array.from({ length: count }, (_, index) => ({ body: `message ${index}` }));
const stored = async () => (await emulator.inspect(queue.name)).ready.map(({ body }) => body).sort();
const batchSizes = () =>
  behind.proxy.bodies('SendMessageBatch').map(({ Entries }) => (Entries as unknown[]).length);

describe('batches', () => {
  test('25 messages go in three calls, each result at its message’s place', async () => {
    const results = await send(numbered(25));
    expect(batchSizes().sort()).toEqual([10, 10, 5]);
    const { ready } = await emulator.inspect(queue.name);
    const bodies = new Map(ready.map(({ messageId, body }) => [messageId, body]));
    expect(results.map((result) => result.ok && bodies.get(result.messageId))).toEqual(
      numbered(25).map(({ body }) => body),
    );
  });

  test('nothing to send makes no request', async () => {
    expect(await send([])).toEqual([]);
    expect(behind.proxy.requests()).toBe(0);
  });

  test('attributes, group and trace header are sent as SQS wants them', async () => {
    const attributes = {
      kind: { DataType: 'String', StringValue: 'gift' },
      bytes: { DataType: 'Binary', BinaryValue: new Uint8Array([1, 2, 3]) },
    };
    const traceHeader = 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1';
    await send([{ body: 'a', attributes, groupId: 'sen_1', traceHeader, delaySeconds: 60 }]);
    expect(behind.proxy.bodies('SendMessageBatch')[0]?.['Entries']).toEqual([
      {
        Id: '0',
        MessageBody: 'a',
        MessageAttributes: {
          kind: { DataType: 'String', StringValue: 'gift' },
          bytes: { DataType: 'Binary', BinaryValue: 'AQID' },
        },
        MessageGroupId: 'sen_1',
        DelaySeconds: 60,
        MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: traceHeader } },
      },
    ]);
    expect((await emulator.inspect(queue.name)).delayed).toHaveLength(1);
  });
});

describe('size', () => {
  test('P23: a batch whose sum exceeds 1 MiB is split, exactly at the limit', async () => {
    const half = maxBatchBytes / 2;
    const results = await send([
      { body: 'a'.repeat(half) },
      { body: 'b'.repeat(half) },
      { body: 'c'.repeat(half) },
      { body: 'd'.repeat(half + 1) },
    ]);
    expect(results.every(({ ok }) => ok)).toBe(true);
    expect(batchSizes().sort()).toEqual([1, 1, 2]);
    expect(behind.proxy.requests('SendMessageBatch')).toBe(3);
  });

  test('P23: attributes count to the sum, in bytes and not in characters', async () => {
    const note = { DataType: 'String', StringValue: '€' };
    const raw = { DataType: 'Binary', BinaryValue: new Uint8Array(4) };
    expect(messageBytes({ body: 'é', attributes: { note, raw } })).toBe(2 + (4 + 6 + 3) + (3 + 6 + 4));
    const fits = { body: 'x'.repeat(maxBatchBytes - 13), attributes: { note } };
    expect(await send([fits])).toMatchObject([{ ok: true }]);
    const tooLong = { ...fits, body: `${fits.body}x` };
    expect(await send([tooLong])).toMatchObject([{ ok: false, reason: 'oversize' }]);
  });

  test('P23: a lone oversize message is refused with its reason and its neighbours are sent', async () => {
    const results = await send([{ body: 'a' }, { body: 'x'.repeat(maxBatchBytes + 1) }, { body: 'b' }]);
    expect(results).toMatchObject([
      { ok: true },
      { ok: false, reason: 'oversize', retryable: false },
      { ok: true },
    ]);
    expect(await stored()).toEqual(['a', 'b']);
    expect(batchSizes()).toEqual([2]);
  });

  test('P23: a queue that takes less than SQS does calls its own limit oversize, never retryable', async () => {
    behind.proxy.inject({
      operation: 'SendMessageBatch',
      fault: httpError(400, { code: 'BatchRequestTooLong' }),
      when: ({ Entries }) => JSON.stringify(Entries).includes('long'),
    });
    const results = await send([{ body: 'a' }, { body: 'long'.repeat(500) }, { body: 'b' }]);
    expect(results).toMatchObject([
      { ok: true },
      { ok: false, reason: 'oversize', retryable: false },
      { ok: true },
    ]);
    expect(await stored()).toEqual(['a', 'b']);
  });
});

describe('a fault of ours or of SQS is not charged to the message', () => {
  test.each([
    ['KMS.ThrottlingException', true],
    ['KMS.DisabledException', true],
    ['KMS.AccessDeniedException', true],
    ['KmsInvalidState', true],
    ['RequestThrottled', true],
    ['OverLimit', true],
    ['AccessDenied', true],
    ['AWS.SimpleQueueService.NonExistentQueue', true],
    ['InvalidAddress', true],
    ['MissingParameter', true],
    ['InvalidParameterValue', true],
    ['UnsupportedOperation', true],
    ['SomethingThatNobodyHasSeenYet', true],
    ['InvalidMessageContents', false],
    ['AWS.SimpleQueueService.InvalidMessageContents', false],
  ])('%s for one entry, called the sender’s fault: to be sent again: %s', async (code, retryable) => {
    behind.proxy.inject({
      operation: 'SendMessageBatch',
      fault: failEntries(({ MessageBody }) => MessageBody === 'message 1', { code, senderFault: true }),
    });
    const results = await send(numbered(3));
    expect(results).toMatchObject([{ ok: true }, { ok: false, retryable }, { ok: true }]);
    // Asked again at once it would say the same: that is left to whoever waits for longer.
    expect(batchSizes()).toEqual([3]);
  });

  test.each([
    ['KMS.ThrottlingException', 400],
    ['AccessDeniedException', 403],
    ['QueueDoesNotExist', 400],
    ['MissingParameter', 400],
    ['InvalidParameterValue', 400],
    ['InternalError', 500],
  ])('%s for the whole call is retryable for each', async (code, status) => {
    behind.proxy.inject({ operation: 'SendMessageBatch', fault: httpError(status, { code }) });
    const results = await send(numbered(3), { attempts: 1 });
    expect(results.every((result) => !result.ok && result.retryable)).toBe(true);
  });

  test('too long, said of what any queue takes, is not the message’s fault', async () => {
    behind.proxy.inject({
      operation: 'SendMessageBatch',
      fault: httpError(400, { code: 'BatchRequestTooLong' }),
    });
    expect(await send([{ body: 'short' }])).toMatchObject([{ ok: false, retryable: true }]);
  });
});

describe('failures', () => {
  test('P8: entries that failed are sent again, alone, and none that failed is reported as sent', async () => {
    behind.proxy.inject({
      operation: 'SendMessageBatch',
      times: 1,
      fault: failEntries((_entry, index) => index % 2 === 1),
    });
    const results = await send(numbered(10));
    expect(results.every(({ ok }) => ok)).toBe(true);
    expect(batchSizes()).toEqual([10, 5]);
    expect(await stored()).toEqual(numbered(10).map(({ body }) => body));
  });

  test('P8: an entry that fails each time is given up after the bound and reported so', async () => {
    behind.proxy.inject({
      operation: 'SendMessageBatch',
      fault: failEntries(({ MessageBody }) => MessageBody === 'message 3'),
    });
    const results = await send(numbered(10), { attempts: 3, random: () => 0 });
    expect(results.filter(({ ok }) => ok)).toHaveLength(9);
    expect(results[3]).toEqual({ ok: false, reason: 'InternalError', retryable: true });
    expect(batchSizes()).toEqual([10, 1, 1]);
    expect(await stored()).toHaveLength(9);
  });

  test('P8: an entry that is the sender’s fault is not sent again', async () => {
    behind.proxy.inject({
      operation: 'SendMessageBatch',
      fault: failEntries((_entry, index) => index === 0, {
        senderFault: true,
        code: 'InvalidMessageContents',
      }),
    });
    const results = await send(numbered(2));
    expect(results).toMatchObject([
      { ok: false, reason: 'InvalidMessageContents', retryable: false },
      { ok: true },
    ]);
    expect(batchSizes()).toEqual([2]);
  });

  test('P8: an entry that the answer does not mention is not taken for sent', async () => {
    behind.proxy.inject({
      operation: 'SendMessageBatch',
      fault: async (exchange) => {
        exchange.send(await exchange.forward(), { Successful: [], Failed: [] });
        return undefined;
      },
    });
    const results = await send(numbered(1), { attempts: 2, random: () => 0 });
    expect(results).toEqual([{ ok: false, reason: 'Unconfirmed', retryable: true }]);
  });

  test('a call that rejects as a whole fails each of its entries, retryable, and no other batch', async () => {
    behind.proxy.inject({
      operation: 'SendMessageBatch',
      when: ({ Entries }) => JSON.stringify(Entries).includes('message 0"'),
      fault: httpError(400, { code: 'AccessDeniedException' }),
    });
    const results = await send(numbered(12));
    expect(results.slice(0, 10).every((result) => !result.ok && result.retryable)).toBe(true);
    expect(results[0]).toMatchObject({ reason: 'AccessDeniedException' });
    expect(results.slice(10).every(({ ok }) => ok)).toBe(true);
  });

  test('a lost answer is never reported as sent unless a repeat was confirmed', async () => {
    behind.proxy.inject({ operation: 'SendMessageBatch', fault: loseResponse() });
    const results = await send([{ body: 'a' }]);
    expect(results).toMatchObject([{ ok: false, retryable: true }]);
    expect((await stored()).length).toBeGreaterThan(0);
  });

  test('a hung socket holds nobody: the call is given up after its time', async () => {
    behind.proxy.inject({ operation: 'SendMessageBatch', fault: hang() });
    const results = await send(numbered(2), { callTimeoutMs: 150 });
    expect(results).toMatchObject([
      { ok: false, reason: 'TimeoutError', retryable: true },
      { ok: false, reason: 'TimeoutError', retryable: true },
    ]);
  });
});
