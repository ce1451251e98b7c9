import type { Express } from 'express';
import { Registry } from 'prom-client';
import request from 'supertest';
import { buildApp } from '../../services/api/app.ts';
import type { ApiDeps, ApiSettings } from '../../services/api/deps.ts';
import { createLedgerCheck } from '../../services/api/ledger-check.ts';
import { createRateLimits, type RateLimitOptions } from '../../services/api/rate-limits.ts';
import { findApiKey, setApiKeyHash } from '../../services/database/queries/api-keys.ts';
import type { Role } from '../../services/database/states.ts';
import type { OutboxRow } from '../../services/domain/gifts/accept-gifts.ts';
import { newId, type SenderId, toUuid } from '../../services/domain/ids.ts';
import { createOutboxWriter } from '../../services/domain/outbox.ts';
import type { Scope } from '../../services/domain/senders/api-key.ts';
import { createApiKey } from '../../services/domain/senders/create-api-key.ts';
import { createSender } from '../../services/domain/senders/create-sender.ts';
import { createLogger, type Logger } from '../../services/observability/logger.ts';
import { createMetrics } from '../../services/observability/metrics.ts';
import { composeMessage } from '../../services/queue/compose-message.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { fund, keyring } from './gifts.ts';
import { linesOf } from './log-lines.ts';

export type TestSender = { senderId: SenderId; key: string; auth: [string, string] };

export type TestApi = {
  app: Express;
  deps: ApiDeps;
  database: TestDatabase;
  /** rows that the routes handed to the relay, in order */
  published: OutboxRow[];
  /** log lines written so far, parsed */
  logged: () => Record<string, unknown>[];
  /** a sender with a key and, unless 0, money in EUR */
  sender: (options?: {
    roles?: Role[];
    scopes?: Scope[];
    amountMinor?: number;
    expiresAt?: Date;
  }) => Promise<TestSender>;
  close: () => Promise<void>;
};

export type TestApiOptions = {
  policies?: Partial<RateLimitOptions['policies']>;
  settings?: Partial<ApiSettings>;
  deps?: Partial<ApiDeps>;
};

const plenty = { quota: 1_000_000, windowSeconds: 60 };

/** The real app on a database of its own; what it hands to the relay and to the log is kept for the test to see. */
export async function startTestApi(options: TestApiOptions = {}): Promise<TestApi> {
  const database = await createTestDatabase();
  const { logger, logged } = memoryLogger();
  const metrics = createMetrics(new Registry(), { processMetrics: false });
  const published: OutboxRow[] = [];
  const deps: ApiDeps = {
    db: database.db,
    reads: options.deps?.db ?? database.reads,
    keyring,
    findKey: (hash) => findApiKey(database.db, hash),
    renewKeyHash: (key) => setApiKeyHash(database.db, key),
    outbox: createOutboxWriter({
      queue: 'gifts',
      leaseSeconds: 15,
      clock: () => new Date(),
      compose: composeMessage,
    }),
    publish: (rows) => void published.push(...rows),
    rateLimits: createRateLimits(database, {
      policies: { ip: plenty, key: plenty, claim: plenty, ...options.policies },
      timeoutMs: 2_000,
    }),
    queues: async () => ({
      queues: [],
      gifts: { queued: 0, delivering: 0, oldestSeconds: null },
      outbox: { pending: 0, parked: 0, lagSeconds: 0 },
    }),
    logger,
    metrics,
    checkLedger: createLedgerCheck({ db: database.db, metrics }),
    readiness: {},
    stopping: new AbortController().signal,
    ...options.deps,
    settings: {
      publicUrl: 'https://gifts.example.com',
      trustProxy: false,
      resendCooldownSeconds: 300,
      resendLimit: 2,
      ...options.settings,
    },
  };
  return {
    app: buildApp(deps),
    deps,
    database,
    published,
    logged,
    sender: (wanted) => createTestSender(database, wanted),
    close: () => database.drop(),
  };
}

export function memoryLogger(): { logger: Logger; logged: () => Record<string, unknown>[] } {
  const { stream, lines } = linesOf();
  const logger = createLogger({ service: 'api', level: 'debug', format: 'json', stream });
  return { logger, logged: () => lines().map((line) => JSON.parse(line) as Record<string, unknown>) };
}

async function createTestSender(
  { db }: TestDatabase,
  options: { roles?: Role[]; scopes?: Scope[]; amountMinor?: number; expiresAt?: Date } = {},
): Promise<TestSender> {
  const senderId = await createSender(db, { name: 'Analytical Engines Ltd' });
  const { roles = ['sender'], scopes = null, amountMinor = 1_000_000, expiresAt = null } = options;
  const { key } = await createApiKey(db, { keyring }, { senderId, name: 'test', roles, scopes, expiresAt });
  if (amountMinor > 0) {
    const value = { amount: amountMinor, currency: 'EUR' };
    await fund(db, senderId, value);
  }
  return { senderId, key, auth: ['Authorization', `Bearer ${key}`] };
}

export const giftRequest = {
  value: { amount: 2_500, currency: 'EUR' },
  recipient: { type: 'email', email: 'ada@example.com' },
  message: 'Well done, Ada',
  sender_name: 'Charles',
};

let keys = 0;
export const freshKey = (): string => `key-${process.pid}-${++keys}`;

/** POST /v1/gifts as an integrator sends it. */
export function postGift(api: TestApi, sender: TestSender, body: object = giftRequest, key = freshKey()) {
  return request(api.app)
    .post('/v1/gifts')
    .set(...sender.auth)
    .set('Idempotency-Key', key)
    .send(body);
}

/** What the consumer does to a gift: claimed, mailed, settled. Leaves the gift in the state `delivered`. */
export async function deliver(api: TestApi, giftId: string): Promise<void> {
  const { claimGifts } = await import('../../services/domain/deliveries/claim-gifts.ts');
  const { settleDeliveries } = await import('../../services/domain/deliveries/settle-deliveries.ts');
  await api.database.db.transaction().execute(async (trx) => {
    const [claimed] = await claimGifts(trx, { keyring, leaseSeconds: 60 }, [
      { giftId: giftId as `gft_${string}`, messageId: newId('evt'), receiveCount: 1 },
    ]);
    if (claimed?.kind !== 'claimed') throw new Error(`${giftId} could not be claimed: ${claimed?.kind}`);
    const { deliveryId, attempt } = claimed.work;
    await settleDeliveries(trx, [{ deliveryId, attempt, outcome: 'sent' }]);
  });
}

export async function stateOf(api: TestApi, giftId: string): Promise<string> {
  const row = await api.database.db
    .selectFrom('gifts')
    .select('state')
    .where('id', '=', toUuid(giftId as `gft_${string}`))
    .executeTakeFirstOrThrow();
  return row.state;
}
