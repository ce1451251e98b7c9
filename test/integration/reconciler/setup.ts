import { readDatabaseTime } from '../../../services/database/queries/database-time.ts';
import type { FailureClass } from '../../../services/database/states.ts';
import { type DeliveryId, type GiftId, newId, newUuid, toUuid } from '../../../services/domain/ids.ts';
import { createOutboxWriter } from '../../../services/domain/outbox.ts';
import type { Logger } from '../../../services/observability/logger.ts';
import { composeMessage } from '../../../services/queue/compose-message.ts';
import { encodeEnvelope } from '../../../services/queue/envelope.ts';
import { type OutgoingMessage, sendMessages } from '../../../services/queue/producer.ts';
import type { QueueClients } from '../../../services/queue/sqs.ts';
import { defaultPolicy } from '../../../services/reconciler/default-policy.ts';
import type { Policy } from '../../../services/reconciler/policy.ts';
import { readPolicy } from '../../../services/reconciler/policy-document.ts';
import { type ReconcileOptions, reconcile } from '../../../services/reconciler/reconcile.ts';
import type { ReconcilerDeps } from '../../../services/reconciler/run.ts';
import { countOn } from '../../../services/reconciler/run-clock.ts';
import type { RunReport } from '../../../services/reconciler/run-report.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { type Emulator, startEmulator } from '../../support/emulator.ts';
import type { FaultProxy } from '../../support/fault-proxy.ts';
import { accept, draftGift, type FundedSender, fundedSender, placeGifts } from '../../support/gifts.ts';
import type { QueuePair } from '../../support/queue-pair.ts';
import { behindProxy, clientsFor } from '../../support/sqs-under-test.ts';

/** A database, an emulator, and a proxy between it and the reconciler; the test itself talks past the proxy. */
export type Scene = {
  database: TestDatabase;
  emulator: Emulator;
  proxy: FaultProxy;
  deps: ReconcilerDeps;
  direct: QueueClients;
  queue: QueuePair;
  sender: FundedSender;
  log: { level: string; message: string; fields: Record<string, unknown> }[];
  /** moves the reconciler's clock, which is the database's, ahead */
  advance: (seconds: number) => void;
  now: () => Date;
  /** a fresh queue, no faults, no leases, the clock back at now */
  reset: () => Promise<void>;
  close: () => Promise<void>;
};

export async function openScene(): Promise<Scene> {
  const database = await createTestDatabase();
  const emulator = await startEmulator();
  const behind = await behindProxy(emulator);
  const direct = clientsFor(emulator);
  let aheadMs = 0;
  const clock = () => new Date(Date.now() + aheadMs);
  const log: Scene['log'] = [];
  const scene: Scene = {
    database,
    emulator,
    proxy: behind.proxy,
    direct,
    log,
    queue: await emulator.createQueuePair(),
    sender: await fundedSender(database.db, 100_000_000),
    deps: {
      db: database.db,
      clients: behind.clients,
      outbox: createOutboxWriter({ queue: 'gifts', leaseSeconds: 0, clock, compose: composeMessage }),
      log: recordingLog(log),
      openClock: async () => {
        const clockOfRun = countOn(await readDatabaseTime(database.db));
        return () => new Date(clockOfRun().getTime() + aheadMs);
      },
      silence: { retryCapMs: 900_000, leaseSeconds: 60 },
    },
    now: clock,
    advance: (seconds) => {
      aheadMs += seconds * 1_000;
    },
    async reset() {
      behind.proxy.heal();
      log.length = 0;
      aheadMs = 0;
      scene.queue = await emulator.createQueuePair();
      scene.sender = await fundedSender(database.db, 100_000_000);
      const underWay = database.db
        .selectFrom('gifts')
        .select('id')
        .where('state', 'in', ['queued', 'delivering', 'scheduled']);
      const ids = (await underWay.execute()).map(({ id }) => id);
      await placeGifts(database.db, ids, { state: 'cancelled', lease_until: null });
      await database.db
        .updateTable('deliveries')
        .set({ state: 'failed', lease_until: null })
        .where('state', 'in', ['pending', 'sending', 'deferred'])
        .execute();
      for (const table of ['reconciler_leases', 'reconciler_runs', 'dead_letters', 'outbox'] as const) {
        await database.db.deleteFrom(table).execute();
      }
    },
    async close() {
      direct.destroy();
      await behind.close();
      await emulator.stop();
      await database.drop();
    },
  };
  return scene;
}

function recordingLog(lines: Scene['log']): Logger {
  const at =
    (level: string) =>
    (message: string, fields: Record<string, unknown> = {}) =>
      void lines.push({ level, message, fields });
  const log: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => log,
    close: () => Promise.resolve(),
  };
  return log;
}

/** The default policy with a rate that no test waits for, no minimum ages, a deaf quarantine breaker, and what the test changes. */
export function policy(
  changes: {
    limits?: Partial<Policy['limits']>;
    circuitBreaker?: Partial<Policy['circuitBreaker']>;
    quarantineBreaker?: Partial<Policy['quarantineBreaker']>;
    rules?: Policy['rules'];
    suspend?: boolean;
  } = {},
): Policy {
  const read = readPolicy(defaultPolicy);
  if ('problems' in read) throw new Error(JSON.stringify(read.problems));
  const base = read.policy;
  const rules = base.rules.map((rule) => ({ ...rule, match: { ...rule.match, minAgeSeconds: 0 } }));
  return {
    ...base,
    rules: changes.rules ?? rules,
    suspend: changes.suspend ?? false,
    limits: { ...base.limits, ratePerSecond: 100_000, quarantineMinAgeSeconds: 0, ...changes.limits },
    quarantineBreaker: { ...base.quarantineBreaker, minSamples: 1_000, ...changes.quarantineBreaker },
    circuitBreaker: { ...base.circuitBreaker, ...changes.circuitBreaker },
  };
}

export function run(
  scene: Scene,
  rules: Policy = policy(),
  options: Partial<ReconcileOptions> = {},
): Promise<RunReport> {
  return reconcile(scene.deps, rules, {
    queueName: scene.queue.name,
    dryRun: false,
    signal: new AbortController().signal,
    waitTimeSeconds: 0,
    ...options,
  });
}

/** Gifts whose delivery was tried `attempts` times and then dead-lettered, as the consumer leaves them. */
export async function deadGifts(scene: Scene, count: number, { attempts = 6 } = {}): Promise<GiftId[]> {
  const { db } = scene.database;
  const { gifts } = await accept(
    db,
    Array.from({ length: count }, () => draftGift(scene.sender, { value: { amount: 100, currency: 'EUR' } })),
  );
  const ids = gifts.map(({ id }) => id);
  const uuids = ids.map(toUuid);
  await db.deleteFrom('outbox').execute();
  await db
    .updateTable('gifts')
    .set({ dead_lettered_at: new Date(), failure_class: 'transient', failure_code: 'mail_unreachable' })
    .where('id', 'in', uuids)
    .execute();
  await db
    .insertInto('deliveries')
    .values(
      uuids.map((gift_id) => ({
        id: newUuid(),
        gift_id,
        purpose: 'gift' as const,
        channel: 'email' as const,
        state: 'deferred' as const,
        attempts,
        attempts_forgiven: 0,
        lease_until: null,
        dead_lettered_at: new Date(),
        state_changed_at: new Date(),
      })),
    )
    .execute();
  return ids;
}

/** Resends of delivered gifts, tried and dead-lettered in the same way. */
export async function deadResends(scene: Scene, count: number, { attempts = 6 } = {}): Promise<DeliveryId[]> {
  const { db } = scene.database;
  const giftIds = (await deadGifts(scene, count)).map(toUuid);
  await placeGifts(db, giftIds, { state: 'delivered', dead_lettered_at: null });
  const resends = giftIds.map((gift_id) => ({ id: newId('dlv'), gift_id }));
  await db
    .insertInto('deliveries')
    .values(
      resends.map(({ id, gift_id }) => ({
        id: toUuid(id),
        gift_id,
        purpose: 'resend' as const,
        channel: 'email' as const,
        state: 'deferred' as const,
        attempts,
        lease_until: null,
        dead_lettered_at: new Date(),
        state_changed_at: new Date(),
      })),
    )
    .execute();
  return resends.map(({ id }) => id);
}

export function giftMessage(
  id: GiftId | DeliveryId,
  died: { class: FailureClass; reason?: string } | null = { class: 'transient' },
  extra: Partial<OutgoingMessage> = {},
): OutgoingMessage {
  const type = id.startsWith('gft') ? 'gift.deliver' : 'delivery.send';
  const marks: OutgoingMessage['attributes'] =
    died === null
      ? {}
      : {
          dead_letter_class: { DataType: 'String', StringValue: died.class },
          dead_letter_reason: { DataType: 'String', StringValue: died.reason ?? 'mail_unreachable' },
        };
  return {
    body: encodeEnvelope({
      type,
      version: 1,
      id,
      occurred_at: new Date().toISOString(),
      attempt_hint: 0,
      request_id: 'req-1',
    }),
    ...extra,
    attributes: { ...extra.attributes, ...marks },
  };
}

/** Puts messages into the dead-letter queue, past the proxy. */
export async function bury(scene: Scene, messages: OutgoingMessage[]): Promise<void> {
  const sent = await sendMessages(scene.direct, scene.queue.deadLetterUrl, messages);
  if (!sent.every(({ ok }) => ok)) throw new Error('the emulator did not take the dead letters');
}

export async function buryGifts(
  scene: Scene,
  ids: readonly (GiftId | DeliveryId)[],
  died?: Parameters<typeof giftMessage>[1],
): Promise<void> {
  await bury(
    scene,
    ids.map((id) => giftMessage(id, died)),
  );
}

/** Ids of the entities that the messages of a queue name: those that can be received, and those in flight. */
export async function contents(
  scene: Scene,
  which: 'queue' | 'dead-letters',
): Promise<{ ready: string[]; inFlight: string[] }> {
  const name = which === 'queue' ? scene.queue.name : scene.queue.deadLetterName;
  const { ready, inflight } = await scene.emulator.inspect(name);
  return {
    ready: ready.map(({ body }) => idIn(body)).toSorted(),
    inFlight: inflight.map(({ message }) => idIn(message.body)).toSorted(),
  };
}

function idIn(body: string): string {
  try {
    return String((JSON.parse(body) as { id?: unknown }).id);
  } catch {
    return body;
  }
}

/** The consumer's side of a redrive that fails: the message dies again as a new message. */
export async function dieAgain(scene: Scene, died?: Parameters<typeof giftMessage>[1]): Promise<void> {
  const { ready } = await scene.emulator.inspect(scene.queue.name);
  const ids = ready.map(({ body }) => idIn(body) as GiftId | DeliveryId);
  await drain(scene, scene.queue.url);
  await markDead(scene, ids, scene.now());
  await buryGifts(scene, ids, died);
}

/** The mark that the consumer leaves on gifts and resends that it gives up; those that have one keep it. */
export async function markDead(scene: Scene, ids: readonly (GiftId | DeliveryId)[], at: Date): Promise<void> {
  for (const table of ['gifts', 'deliveries'] as const) {
    await scene.database.db
      .updateTable(table)
      .set({ dead_lettered_at: at })
      .where('id', 'in', ids.map(toUuid))
      .where('dead_lettered_at', 'is', null)
      .execute();
  }
}

export async function drain(scene: Scene, queueUrl: string): Promise<void> {
  const { PurgeQueueCommand } = await import('@aws-sdk/client-sqs');
  await scene.direct.settling.send(new PurgeQueueCommand({ QueueUrl: queueUrl }));
}
