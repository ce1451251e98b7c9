import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type OutgoingMessage, sendMessages } from '../../../services/queue/producer.ts';
import type { AbilityChange } from '../../../services/queue/send-abilities.ts';
import { type Emulator, startEmulator } from '../../support/emulator.ts';
import { failEntries, httpError } from '../../support/faults.ts';
import type { QueuePair } from '../../support/queue-pair.ts';
import { behindProxy } from '../../support/sqs-under-test.ts';

let emulator: Emulator;
let queue: QueuePair;
let behind: Awaited<ReturnType<typeof behindProxy>>;
let changes: AbilityChange[];

beforeAll(async () => {
  emulator = await startEmulator();
});
afterAll(() => emulator.stop());
beforeEach(async () => {
  changes = [];
  queue = await emulator.createQueuePair();
  behind = await behindProxy(emulator, { onAbility: (change) => changes.push(change) });
});
afterEach(() => behind.close());

const traceHeader = 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1';
const gifts = (count: number): OutgoingMessage[] =>
  Array.from({ length: count }, (_, index) => ({ body: `gift ${index}`, groupId: 'sen_1', traceHeader }));

const send = (messages: OutgoingMessage[]) =>
  sendMessages(behind.clients, queue.url, messages, { attempts: 1 });
const requests = () => behind.proxy.requests('SendMessageBatch');
const sentWith = () =>
  behind.proxy
    .bodies('SendMessageBatch')
    .flatMap(({ Entries }) => Entries as Record<string, unknown>[])
    .map((entry) => ['MessageGroupId', 'MessageSystemAttributes'].filter((name) => name in entry));
const carriesGroup = (body: Record<string, unknown>) => JSON.stringify(body).includes('MessageGroupId');
const carriesTrace = (body: Record<string, unknown>) => JSON.stringify(body).includes('AWSTraceHeader');
const allOk = (count: number) => Array.from({ length: count }, () => expect.objectContaining({ ok: true }));

test('a queue that takes all gets all, in one request, and that is known', async () => {
  expect(await send(gifts(10))).toEqual(allOk(10));
  expect(requests()).toBe(1);
  expect(behind.clients.abilities.read(queue.url)).toEqual({ message_group_ids: true, trace_headers: true });
});

test('the optional is not required: a queue that refuses group ids gets its messages without, and is asked once', async () => {
  behind.proxy.inject({
    operation: 'SendMessageBatch',
    when: carriesGroup,
    // As ElasticMQ 1.6 says it.
    fault: failEntries(() => true, { code: 'InvalidParameterValue', senderFault: true }),
  });
  expect(await send(gifts(10))).toEqual(allOk(10));
  expect(requests()).toBe(2);
  expect(behind.clients.abilities.read(queue.url)).toEqual({ message_group_ids: false, trace_headers: true });
  expect(await send(gifts(10))).toEqual(allOk(10));
  expect(requests()).toBe(3);
  expect(sentWith().slice(-10)).toEqual(Array.from({ length: 10 }, () => ['MessageSystemAttributes']));
  expect(changes).toContainEqual({ queueUrl: queue.url, extra: 'message_group_ids', able: false });
});

test.each([
  ['MissingParameter', 400],
  ['InvalidParameterValue', 400],
  ['UnsupportedOperation', 400],
  ['InternalError', 500],
])('the optional is not required: %s for the whole call finds out what is refused', async (code, status) => {
  behind.proxy.inject({
    operation: 'SendMessageBatch',
    when: (body) => carriesTrace(body) || carriesGroup(body),
    fault: httpError(status, { code }),
  });
  expect(await send(gifts(2))).toEqual(allOk(2));
  expect(behind.clients.abilities.read(queue.url)).toEqual({
    message_group_ids: false,
    trace_headers: false,
  });
});

test('a capability that goes away while it runs is found, and nothing is lost', async () => {
  expect(await send(gifts(1))).toEqual(allOk(1));
  const { remove } = behind.proxy.inject({
    operation: 'SendMessageBatch',
    when: carriesTrace,
    fault: httpError(400, { code: 'InvalidParameterValue' }),
  });
  expect(await send(gifts(3))).toEqual(allOk(3));
  expect(behind.clients.abilities.read(queue.url)).toEqual({ message_group_ids: true, trace_headers: false });
  remove();
  expect((await emulator.inspect(queue.name)).ready).toHaveLength(4);
});

test('what speaks of something else than the message’s extras costs no further request', async () => {
  behind.proxy.inject({
    operation: 'SendMessageBatch',
    fault: failEntries(() => true, { code: 'KMS.ThrottlingException', senderFault: true }),
  });
  const results = await send(gifts(2));
  expect(results.every((result) => !result.ok && result.retryable)).toBe(true);
  expect(requests()).toBe(1);
  expect(changes).toEqual([]);
});
