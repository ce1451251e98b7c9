import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Emulator, startEmulator } from '../../support/emulator.ts';
import { eventually } from '../../support/eventually.ts';
import { type FaultProxy, startFaultProxy } from '../../support/fault-proxy.ts';
import { duplicate, failEntries, hang, httpError, loseResponse, staleCounts } from '../../support/faults.ts';
import { callSqs, type QueuePair } from '../../support/queue-pair.ts';

let emulator: Emulator;
let proxy: FaultProxy;
let queue: QueuePair;

beforeEach(async () => {
  emulator = await startEmulator();
  proxy = await startFaultProxy(emulator.endpoint);
  queue = await emulator.createQueuePair();
});

afterEach(async () => {
  await proxy.stop();
  await emulator.stop();
});

const call = (operation: string, body: object) =>
  callSqs({ endpoint: proxy.endpoint, region: emulator.region }, operation, { QueueUrl: queue.url, ...body });
const send = (bodies: string[]) =>
  call('SendMessageBatch', {
    Entries: bodies.map((body, index) => ({ Id: String(index), MessageBody: body })),
  });
const receive = async (max = 10) =>
  ((await call('ReceiveMessage', { MaxNumberOfMessages: max }))['Messages'] ?? []) as Record<
    string,
    string
  >[];
const stored = async () => (await emulator.inspect(queue.name)).ready.map((message) => message.body);

describe('the fault proxy', () => {
  test('a lost response has happened, and a healed proxy answers again', async () => {
    proxy.inject({ operation: 'SendMessageBatch', times: 1, fault: loseResponse() });
    await expect(send(['a'])).rejects.toThrow();
    expect(await stored()).toEqual(['a']);
    proxy.inject({ fault: httpError(500) });
    await expect(send(['b'])).rejects.toThrow('500');
    proxy.heal();
    await send(['c']);
    expect(await stored()).toEqual(['a', 'c']);
    expect(proxy.requests('SendMessageBatch')).toBe(3);
  });

  test('chosen entries fail and the others happen', async () => {
    proxy.inject({ operation: 'SendMessageBatch', times: 1, fault: failEntries(({ Id }) => Id === '1') });
    const answer = await send(['a', 'b', 'c']);
    expect(answer['Failed']).toMatchObject([{ Id: '1', Code: 'InternalError' }]);
    expect(await stored()).toEqual(['a', 'c']);
    proxy.inject({ operation: 'SendMessageBatch', times: 1, fault: failEntries(() => true) });
    expect(await send(['d'])).toMatchObject({ Successful: [], Failed: [{ Id: '0' }] });
    expect(await stored()).toEqual(['a', 'c']);
  });

  test('a duplicate comes with its own receipt handle, at once or after the delete', async () => {
    await send(['a']);
    const atOnce = proxy.inject({ operation: 'ReceiveMessage', fault: duplicate() });
    const [first, second] = await receive();
    expect(first?.['MessageId']).toBe(second?.['MessageId']);
    expect(first?.['ReceiptHandle']).not.toBe(second?.['ReceiptHandle']);
    await call('DeleteMessage', { ReceiptHandle: second?.['ReceiptHandle'] });
    expect((await emulator.inspect(queue.name)).inflight).toEqual([]);
    atOnce.remove();

    await send(['b']);
    proxy.inject({ operation: 'ReceiveMessage', times: 2, fault: duplicate({ at: 'next-receive' }) });
    const [original] = await receive();
    await call('DeleteMessage', { ReceiptHandle: original?.['ReceiptHandle'] });
    expect(await receive()).toMatchObject([{ MessageId: original?.['MessageId'], Body: 'b' }]);
    expect(await receive()).toEqual([]);
  });

  test('a hung request stays open until the proxy stops; a proxy that is down refuses', async () => {
    proxy.inject({ operation: 'GetQueueAttributes', times: 1, fault: hang() });
    const hung = expect(call('GetQueueAttributes', { AttributeNames: ['All'] })).rejects.toThrow();
    await eventually(() => expect(proxy.open('GetQueueAttributes')).toHaveLength(1));
    await proxy.goDown();
    await hung;
    await expect(send(['a'])).rejects.toThrow('fetch failed');
    await proxy.comeBack();
    await send(['a']);
    await eventually(() => expect(proxy.open()).toEqual([]));
  });

  test('stale counts replace the true ones', async () => {
    proxy.inject({ fault: staleCounts({ ApproximateNumberOfMessages: '7' }) });
    const { Attributes } = await call('GetQueueAttributes', { AttributeNames: ['All'] });
    expect(Attributes).toMatchObject({ ApproximateNumberOfMessages: '7', QueueArn: queue.arn });
  });
});
