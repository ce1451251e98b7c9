import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueUrlCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { choosePorts } from '../../../scripts/embedded/ports.ts';
import { eventually } from '../../support/eventually.ts';

let folder: string;
let emulator: ChildProcess | undefined;
let client: SQSClient;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'largesse-sqs-'));
});

afterEach(async () => {
  await stop('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

test('a message given back survives a SIGKILL and a new port; a deleted one stays deleted', async () => {
  await startEmulator();
  const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: 'gifts' }));
  await client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'kept' }));
  const first = await receive(QueueUrl);
  const handle = { QueueUrl, ReceiptHandle: first?.ReceiptHandle };
  await client.send(new ChangeMessageVisibilityCommand({ ...handle, VisibilityTimeout: 0 }));
  expect((await receive(QueueUrl))?.Body).toBe('kept');
  await client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'deleted' }));
  const second = await receive(QueueUrl);
  expect(second?.Body).toBe('deleted');
  await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: second?.ReceiptHandle }));
  await stop('SIGKILL');

  const port = await startEmulator();
  const found = await client.send(new GetQueueUrlCommand({ QueueName: 'gifts' }));
  expect(found.QueueUrl).toBe(`http://127.0.0.1:${port}/000000000000/gifts`);
  // The message was in flight for its 1 s when the emulator died.
  const again = await eventually(async () => {
    const message = await receive(found.QueueUrl);
    expect(message).toBeDefined();
    return message;
  });
  expect(again).toMatchObject({ Body: 'kept', Attributes: { ApproximateReceiveCount: '3' } });
  expect(await receive(found.QueueUrl)).toBeUndefined();
});

async function receive(queueUrl: string | undefined) {
  const options = { MessageSystemAttributeNames: ['All' as const], VisibilityTimeout: 1 };
  return (await client.send(new ReceiveMessageCommand({ QueueUrl: queueUrl, ...options }))).Messages?.[0];
}

async function startEmulator(): Promise<number> {
  const { sqs: port } = await choosePorts({});
  emulator = spawn(process.execPath, ['scripts/embedded/sqs.ts', String(port), folder], { stdio: 'ignore' });
  await eventually(async () => expect((await fetch(`http://127.0.0.1:${port}/health`)).ok).toBe(true));
  client = new SQSClient({
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${port}`,
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
  });
  return port;
}

async function stop(signal: NodeJS.Signals): Promise<void> {
  client?.destroy();
  if (emulator === undefined || emulator.exitCode !== null || emulator.signalCode !== null) return;
  emulator.kill(signal);
  await once(emulator, 'exit');
}
