import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { Relay, type RelayOptions } from '../../../services/api/relay.ts';
import { createSqsGateway, type SqsGateway } from '../../../services/api/sqs-gateway.ts';
import { readOutboxBacklog } from '../../../services/database/queries/outbox.ts';
import { createMetrics, type Metrics } from '../../../services/observability/metrics.ts';
import { memoryLogger } from '../../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { type Emulator, startEmulator } from '../../support/emulator.ts';
import { eventually } from '../../support/eventually.ts';
import { type FaultProxy, startFaultProxy } from '../../support/fault-proxy.ts';
import { type Fault, failEntries, httpError } from '../../support/faults.ts';
import { callSqs, uniqueQueueName } from '../../support/queue-pair.ts';

let emulator: Emulator;
let proxy: FaultProxy;
let database: TestDatabase;
const stops: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
  process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';
  emulator = await startEmulator();
});
afterAll(() => emulator.stop());
beforeEach(async () => {
  [database, proxy] = await Promise.all([createTestDatabase(), startFaultProxy(emulator.endpoint)]);
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  await proxy.stop();
  await database.drop();
});

type Publishing = {
  gateway: SqsGateway;
  relay: Relay;
  metrics: Metrics;
  queue: string;
  logged: ReturnType<typeof memoryLogger>['logged'];
};

/** The relay and the gateway of the API as `main` wires them, before an emulator whose answers can be spoiled. */
async function startPublishing(queue = uniqueQueueName(), options: RelayOptions = {}): Promise<Publishing> {
  const { logger, logged } = memoryLogger();
  const metrics = createMetrics(new Registry(), { processMetrics: false });
  const stopping = new AbortController();
  const config = {
    AWS_REGION: emulator.region,
    AWS_ENDPOINT_URL_SQS: proxy.endpoint,
    GIFTS_QUEUE_NAME: queue,
    VISIBILITY_TIMEOUT_SECONDS: 60,
    MAX_RETRY_COUNT: 5,
    QUEUE_PROVISIONING: 'create' as const,
  };
  const { db } = database;
  const gateway = createSqsGateway(config, { db, logger, metrics, signal: stopping.signal });
  const { queues, send } = gateway;
  const relay = new Relay(
    { db, queues, send, logger, metrics, random: () => 0 },
    { sweepEveryMs: 50, ...options },
  );
  stops.push(async () => {
    stopping.abort();
    await relay.stop();
    await gateway.stop();
  });
  relay.start();
  await eventually(() => expect(logged().some(({ event }) => event === 'queue_found')).toBe(true));
  return { gateway, relay, metrics, queue, logged };
}

async function write(queue: string, bodies: string[], parkedReason: string | null = null): Promise<void> {
  await database.pool.query(
    `insert into outbox (queue, body, group_id, available_at, parked_reason)
     select $1, body, 'sen_1', clock_timestamp(), $3 from unnest($2::text[]) as body`,
    [queue, bodies, parkedReason],
  );
}

const backlog = () => readOutboxBacklog(database.db);
const bodiesIn = async (queue: string) =>
  (await emulator.inspect(queue)).ready.map(({ body }) => body).sort();
const refuse = (code: string) => failEntries(() => true, { code, senderFault: true });

describe('a fault of ours or of SQS is never charged to a message of the outbox', () => {
  test.each<[string, Fault]>([
    ['a key that is throttled', refuse('KMS.ThrottlingException')],
    ['a missing permission', refuse('AccessDenied')],
    ['a parameter that the queue does not know', refuse('InvalidParameterValue')],
    ['an unknown code', refuse('SomethingNew')],
    ['a throttled account', httpError(400, { code: 'RequestThrottled' })],
  ])('%s: every row waits, is counted and aged, and goes when it is over', async (_what, fault) => {
    const { gateway, queue, metrics, logged } = await startPublishing();
    const { remove } = proxy.inject({ operation: 'SendMessageBatch', fault });
    await write(queue, ['a', 'b', 'c']);
    await eventually(async () => {
      const { queues } = await gateway.report();
      expect(queues[0]?.refusal).toMatchObject({ reason: expect.any(String), owner: expect.any(String) });
    });
    const waiting = await backlog();
    expect(waiting).toMatchObject({ pending: 3, parked: 0 });
    expect(waiting.lagSeconds).toBeGreaterThan(0);
    expect((await metrics.render()).body).toContain(`largesse_outbox_refused{queue="${queue}"} 1`);
    expect(logged()).toContainEqual(
      expect.objectContaining({ event: 'outbox_refused', level: 'error', marker: '[MONITOR]' }),
    );
    remove();
    await eventually(async () => expect(await backlog()).toMatchObject({ pending: 0, lagSeconds: 0 }));
    expect(await bodiesIn(queue)).toEqual(['a', 'b', 'c']);
    expect((await gateway.report()).queues[0]?.refusal).toBeNull();
    expect((await metrics.render()).body).toContain(`largesse_outbox_refused{queue="${queue}"} 0`);
  });

  test('a row that is refused again and again costs its neighbours nothing: they go, it comes back later', async () => {
    const { queue, logged } = await startPublishing();
    proxy.inject({
      operation: 'SendMessageBatch',
      fault: failEntries(({ MessageBody }) => MessageBody === 'bad', { code: 'Odd', senderFault: true }),
    });
    await write(queue, ['bad', 'good 1']);
    await eventually(async () => expect(await bodiesIn(queue)).toEqual(['good 1']));
    await write(queue, ['good 2']);
    await eventually(async () => expect(await bodiesIn(queue)).toEqual(['good 1', 'good 2']));
    await eventually(async () => expect(await backlog()).toMatchObject({ pending: 1, parked: 0 }));
    expect(logged()).toContainEqual(
      expect.objectContaining({ event: 'outbox_rows_postponed', reason: 'Odd', rows: 1 }),
    );
    const { rows } = await database.pool.query(
      'select available_at > clock_timestamp() as later from outbox',
    );
    expect(rows).toEqual([{ later: true }]);
  });

  test('the queue is deleted and made again: it is looked for anew', async () => {
    const { queue } = await startPublishing();
    await callSqs(emulator, 'DeleteQueue', { QueueUrl: await urlOf(queue) });
    await write(queue, ['a']);
    await eventually(async () => expect(await backlog()).toMatchObject({ pending: 0, parked: 0 }), {
      timeoutMs: 15_000,
    });
    expect(await bodiesIn(queue)).toEqual(['a']);
  });
});

test.each(['', '-dlq'])(
  'a queue that is gone (its name ends in "%s") is missed by whoever asks for its depth, though nobody sends',
  async (ending) => {
    const { queue, gateway } = await startPublishing();
    await write(queue, ['a']);
    await eventually(async () => expect(await bodiesIn(queue)).toEqual(['a']));
    await callSqs(emulator, 'DeleteQueue', { QueueUrl: await urlOf(`${queue}${ending}`) });
    await gateway.report();
    await eventually(async () => expect(await urlOf(`${queue}${ending}`)).toContain(queue));
  },
);

describe('what is parked', () => {
  test('only what SQS calls unreadable is parked; it counts to the lag, and the log has an alarm', async () => {
    const { queue, logged } = await startPublishing();
    proxy.inject({
      operation: 'SendMessageBatch',
      fault: failEntries(({ MessageBody }) => MessageBody === 'bad', {
        code: 'InvalidMessageContents',
        senderFault: true,
      }),
    });
    await write(queue, ['bad', 'good']);
    await eventually(async () => expect(await backlog()).toMatchObject({ pending: 0, parked: 1 }));
    expect((await backlog()).lagSeconds).toBeGreaterThan(0);
    expect(logged()).toContainEqual(
      expect.objectContaining({ event: 'outbox_row_parked', level: 'error', marker: '[MONITOR]' }),
    );
  });

  test('old and new side by side: a row of a queue that nobody here knows is left for those who know it', async () => {
    const { queue, logged } = await startPublishing();
    await write('a-queue-of-the-next-release', ['new']);
    await write(queue, ['own']);
    await eventually(async () => expect(await bodiesIn(queue)).toEqual(['own']));
    // A row goes after its message has gone.
    await eventually(async () => {
      const { rows } = await database.pool.query(
        'select queue, parked_reason, available_at <= clock_timestamp() as due from outbox',
      );
      expect(rows).toEqual([{ queue: 'a-queue-of-the-next-release', parked_reason: null, due: true }]);
    });
    expect(await backlog()).toMatchObject({ pending: 1, parked: 0 });
    expect(logged().filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('old and new side by side: what the release before parked for no fault of the row is sent', async () => {
    const queue = uniqueQueueName();
    await write(queue, ['not known'], 'unknown_queue');
    await write(queue, ['throttled'], 'KMS.ThrottlingException');
    await write(queue, ['huge'], 'oversize');
    await write('another', ['not ours'], 'unknown_queue');
    const { logged } = await startPublishing(queue);
    await eventually(async () => expect(await bodiesIn(queue)).toEqual(['not known', 'throttled']));
    await eventually(async () => {
      const { rows } = await database.pool.query('select body, parked_reason from outbox order by id');
      expect(rows).toEqual([
        { body: 'huge', parked_reason: 'oversize' },
        { body: 'not ours', parked_reason: 'unknown_queue' },
      ]);
    });
    expect(logged()).toContainEqual(
      expect.objectContaining({ event: 'outbox_rows_released', reason: 'unknown_queue', rows: 1 }),
    );
  });

  test('old and new side by side: what an old process parks while this one runs is sent soon', async () => {
    const { queue } = await startPublishing(uniqueQueueName(), { releaseEveryMs: 50 });
    await write(queue, ['parked by the old one'], 'unknown_queue');
    await eventually(async () => expect(await bodiesIn(queue)).toEqual(['parked by the old one']));
  });
});

async function urlOf(queue: string): Promise<string> {
  return String((await callSqs(emulator, 'GetQueueUrl', { QueueName: queue }))['QueueUrl']);
}
