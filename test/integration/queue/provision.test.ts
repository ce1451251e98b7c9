import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  SetQueueAttributesCommand,
} from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type EnsureQueueOptions,
  ensureQueue,
  QueueMisconfiguredError,
  QueueMissingError,
  QueueUnreachableError,
  waitForQueue,
} from '../../../services/queue/provision.ts';
import { type Emulator, startEmulator } from '../../support/emulator.ts';
import { httpError, rewriteResponse } from '../../support/faults.ts';
import { uniqueQueueName } from '../../support/queue-pair.ts';
import { behindProxy } from '../../support/sqs-under-test.ts';

let emulator: Emulator;
let sqs: Awaited<ReturnType<typeof behindProxy>>;
let wanted: EnsureQueueOptions;
beforeAll(async () => {
  emulator = await startEmulator();
});
beforeEach(async () => {
  sqs = await behindProxy(emulator);
  const name = uniqueQueueName();
  wanted = {
    name,
    deadLetterName: `${name}-dlq`,
    visibilityTimeoutSeconds: 60,
    maxReceiveCount: 20,
    mode: 'create',
  };
});
afterEach(() => sqs.close());
afterAll(() => emulator.stop());

const verify = () => ensureQueue(sqs.clients, { ...wanted, mode: 'verify' });

async function attributesOf(url: string) {
  const { Attributes } = await sqs.clients.settling.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] }),
  );
  return Attributes ?? {};
}

describe('ensureQueue', () => {
  test('create makes both queues as they must be; verify then agrees and changes nothing', async () => {
    const created = await ensureQueue(sqs.clients, wanted);
    expect(await attributesOf(created.url)).toMatchObject({
      VisibilityTimeout: '60',
      RedrivePolicy: JSON.stringify({ deadLetterTargetArn: created.deadLetterArn, maxReceiveCount: 20 }),
    });
    expect(await attributesOf(created.deadLetterUrl)).toMatchObject({ MessageRetentionPeriod: '1209600' });
    const writes = sqs.proxy.requests('SetQueueAttributes');
    expect(await verify()).toEqual(created);
    expect(sqs.proxy.requests('SetQueueAttributes')).toBe(writes);
  });

  test('create mends a queue that has other attributes, and several replicas may do so at once', async () => {
    await sqs.clients.settling.send(new CreateQueueCommand({ QueueName: wanted.name }));
    const infos = await Promise.all([1, 2, 3].map(() => ensureQueue(sqs.clients, wanted)));
    expect(new Set(infos.map((info) => info.url)).size).toBe(1);
    expect(await verify()).toEqual(infos[0]);
  });

  test('verify says which queue is missing and what to do', async () => {
    const failure = await verify().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(QueueMissingError);
    expect(failure).toMatchObject({ code: 'queue_missing', queueName: wanted.deadLetterName });
    expect(String(failure)).toContain('QUEUE_PROVISIONING=create');
    expect(sqs.proxy.requests('CreateQueue')).toBe(0);
  });

  test('verify lists every wrong attribute with what it is, what it must be, and the fix', async () => {
    const created = await ensureQueue(sqs.clients, wanted);
    const set = (QueueUrl: string, Attributes: Record<string, string>) =>
      sqs.clients.settling.send(new SetQueueAttributesCommand({ QueueUrl, Attributes }));
    await set(created.url, { VisibilityTimeout: '5' });
    await set(created.deadLetterUrl, { MessageRetentionPeriod: '3600' });
    const failure = await verify().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(QueueMisconfiguredError);
    expect(failure).toMatchObject({
      problems: [
        { queue: wanted.name, attribute: 'VisibilityTimeout', expected: '60', actual: '5' },
        {
          queue: wanted.deadLetterName,
          attribute: 'MessageRetentionPeriod',
          expected: '1209600',
          actual: '3600',
        },
      ],
    });
  });

  test('P33: a queue URL whose path is not /account/name is refused, also by create', async () => {
    await ensureQueue(sqs.clients, wanted);
    sqs.proxy.inject({
      operation: 'GetQueueUrl',
      fault: rewriteResponse(({ QueueUrl }) => ({
        QueueUrl: String(QueueUrl).replace('/000000000000/', '/queue/'),
      })),
    });
    for (const mode of ['verify', 'create'] as const) {
      const failure = await ensureQueue(sqs.clients, { ...wanted, mode }).catch((error: unknown) => error);
      expect(failure).toMatchObject({
        code: 'queue_misconfigured',
        problems: [{ attribute: 'URL path' }, {}],
      });
    }
  });

  test('an endpoint that fails is told apart from a queue that is missing', async () => {
    sqs.proxy.inject({ fault: httpError(403, { code: 'AccessDeniedException' }) });
    const failure = await verify().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(QueueUnreachableError);
    expect(String(failure)).toContain('check endpoint, region and permissions');
  });
});

describe('waitForQueue', () => {
  test('reports each failure and goes on until the queue is there', async () => {
    const problems: unknown[] = [];
    const created: Promise<unknown>[] = [];
    const info = await waitForQueue(
      sqs.clients,
      { ...wanted, mode: 'verify' },
      {
        signal: new AbortController().signal,
        random: () => 0,
        onProblem: (error, nextTryMs) => {
          problems.push(error);
          expect(nextTryMs).toBeGreaterThan(0);
          created.push(ensureQueue(sqs.clients, wanted));
        },
      },
    );
    await Promise.all(created);
    expect(info.name).toBe(wanted.name);
    expect(problems[0]).toBeInstanceOf(QueueMissingError);
  });

  test('ends at once when it is aborted', async () => {
    const controller = new AbortController();
    const waiting = waitForQueue(
      sqs.clients,
      { ...wanted, mode: 'verify' },
      {
        signal: controller.signal,
        random: () => 0.9,
        onProblem: () => controller.abort(new Error('shutting down')),
      },
    );
    await expect(waiting).rejects.toThrow('shutting down');
  });
});
