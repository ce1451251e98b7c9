import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import type { QueueInfo } from '../../../services/queue/provision.ts';
import type { QueueClients } from '../../../services/queue/sqs.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { type Emulator, startEmulator } from '../../support/emulator.ts';
import { type FaultProxy, startFaultProxy } from '../../support/fault-proxy.ts';
import { type MailServer, startMailServer } from '../../support/mail-server.ts';
import {
  type ConsumerSettings,
  createQueue,
  startConsumer,
  type TestedConsumer,
  testQueueClients,
} from './consumer-under-test.ts';

/** All that a consumer lives among, real and of its own. */
export type World = {
  database: TestDatabase;
  emulator: Emulator;
  /** between the consumer and the emulator */
  proxy: FaultProxy;
  mail: MailServer;
  /** past the proxy */
  clients: QueueClients;
  queue: QueueInfo;
  start: (env?: Record<string, string>, options?: Partial<ConsumerSettings>) => TestedConsumer;
  /** Stops the consumers that still run, and everything else. */
  end: () => Promise<void>;
};

export async function createWorld(
  options: { visibilityTimeoutSeconds?: number; maxReceiveCount?: number; database?: TestDatabase } = {},
): Promise<World> {
  const [database, emulator, mail] = await Promise.all([
    options.database ?? createTestDatabase(),
    startEmulator(),
    startMailServer(),
  ]);
  const proxy = await startFaultProxy(emulator.endpoint);
  const clients = testQueueClients(emulator.endpoint);
  const queue = await createQueue(emulator.endpoint, options);
  const running = new Set<TestedConsumer>();
  return {
    database,
    emulator,
    proxy,
    mail,
    clients,
    queue,
    start: (env = {}, more = {}) => {
      const settings = { database, queue, endpoint: proxy.endpoint, smtpUrl: mail.url, env, ...more };
      const consumer = startConsumer(settings);
      running.add(consumer);
      const shutDown = async () => {
        running.delete(consumer);
        await consumer.shutDown();
      };
      return { ...consumer, shutDown };
    },
    end: async () => {
      await mail.stop();
      await Promise.all([...running].map((consumer) => consumer.shutDown()));
      clients.destroy();
      await proxy.stop();
      await emulator.stop();
      await database.drop();
    },
  };
}

/** One gift as its rows tell it: state, vouchers, delivery, attempts and ledger transfers. */
export async function storyOf({ db }: TestDatabase, giftId: GiftId) {
  const id = toUuid(giftId);
  const gift = await db.selectFrom('gifts').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  const vouchers = await db.selectFrom('vouchers').selectAll().where('gift_id', '=', id).execute();
  const deliveries = await db
    .selectFrom('deliveries')
    .selectAll()
    .where('gift_id', '=', id)
    .orderBy('id')
    .execute();
  const attempts = await db
    .selectFrom('delivery_attempts as a')
    .innerJoin('deliveries as d', 'd.id', 'a.delivery_id')
    .selectAll('a')
    .where('d.gift_id', '=', id)
    .orderBy('a.delivery_id')
    .orderBy('a.number')
    .execute();
  const transfers = await db
    .selectFrom('ledger_transfers')
    .select('kind')
    .where('gift_id', '=', id)
    .orderBy('kind')
    .execute();
  return { gift, vouchers, deliveries, attempts, transfers: transfers.map(({ kind }) => kind) };
}

export type Story = Awaited<ReturnType<typeof storyOf>>;

/** Messages that a queue holds, whatever their visibility. */
export async function depth(emulator: Emulator, queueName: string): Promise<number> {
  const { ready, delayed, inflight } = await emulator.inspect(queueName);
  return ready.length + delayed.length + inflight.length;
}

/** The messages of a dead-letter queue with the reason that was recorded on each. */
export async function deadLetters(emulator: Emulator, queue: Pick<QueueInfo, 'deadLetterName'>) {
  const { ready, delayed, inflight } = await emulator.inspect(queue.deadLetterName);
  return [...ready, ...delayed, ...inflight.map(({ message }) => message)].map(
    ({ body, messageAttributes }) => ({
      body,
      class: messageAttributes['dead_letter_class']?.StringValue,
      reason: messageAttributes['dead_letter_reason']?.StringValue,
    }),
  );
}
