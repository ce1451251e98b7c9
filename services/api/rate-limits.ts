import { createHash } from 'node:crypto';
import {
  type IRateLimiterPostgresOptions,
  RateLimiterMemory,
  RateLimiterPostgres,
  RateLimiterRes,
} from 'rate-limiter-flexible';
import type { DatabaseClient } from '../database/client.ts';
import { RateLimitStore } from './rate-limit-store.ts';

/** A budget of `quota` requests per `windowSeconds` for each key. */
export type RateLimitPolicy = { name: 'ip' | 'key' | 'claim'; quota: number; windowSeconds: number };

export type RateLimitVerdict = { allowed: boolean; remaining: number; resetSeconds: number };

export type RateLimit = {
  policy: RateLimitPolicy;
  /** Takes one request from the budget of `key`, which may be any text. Always answers, and within the time-out. */
  consume: (key: string) => Promise<RateLimitVerdict>;
};

export type RateLimits = Record<RateLimitPolicy['name'], RateLimit>;

export type RateLimitOptions = {
  policies: Record<RateLimitPolicy['name'], { quota: number; windowSeconds: number }>;
  /** how long the store may take before this process decides by itself */
  timeoutMs?: number;
  onStoreFailure?: (error: unknown) => void;
};

/** Budgets kept in Postgres, shared by all API processes; in this process's memory while Postgres hangs or is away. */
export function createRateLimits(client: DatabaseClient, options: RateLimitOptions): RateLimits {
  const store = new RateLimitStore(client.db, {
    timeoutMs: options.timeoutMs ?? 250,
    pauseMs: 1_000,
    onFailure: options.onStoreFailure ?? (() => undefined),
  });
  const limit = (name: RateLimitPolicy['name']) =>
    createLimit({ store, client }, { name, ...options.policies[name] });
  return { ip: limit('ip'), key: limit('key'), claim: limit('claim') };
}

function createLimit(
  { store, client }: { store: RateLimitStore; client: DatabaseClient },
  policy: RateLimitPolicy,
): RateLimit {
  const { name, quota, windowSeconds } = policy;
  const budget = { keyPrefix: name, points: quota, duration: windowSeconds };
  const limiter = new StoredRateLimiter(store, {
    ...budget,
    storeClient: client.pool,
    storeType: 'pool',
    tableName: 'rate_limits',
    tableCreated: true,
    // The timekeepers do it, in small steps.
    clearExpiredByTimeout: false,
    // Whoever is over the budget costs no more writes until the window ends.
    inMemoryBlockOnConsumed: quota + 1,
    insuranceLimiter: new RateLimiterMemory(budget),
  });
  return { policy, consume: async (key) => toVerdict(await consume(limiter, fixedLength(key)), policy) };
}

/** Takes its points through our store: together with others, and bounded in time. Everything else is the library's. */
class StoredRateLimiter extends RateLimiterPostgres {
  readonly #store: RateLimitStore;

  constructor(store: RateLimitStore, options: IRateLimiterPostgresOptions) {
    super(options);
    this.#store = store;
  }

  async _upsert(key: string, points: number, windowMs: number) {
    return { rows: [await this.#store.take(key, points, windowMs)] };
  }
}

async function consume(limiter: RateLimiterPostgres, key: string): Promise<RateLimiterRes & { over?: true }> {
  try {
    return await limiter.consume(key);
  } catch (refusal) {
    if (refusal instanceof RateLimiterRes) return Object.assign(refusal, { over: true } as const);
    throw refusal;
  }
}

function toVerdict(result: RateLimiterRes & { over?: true }, policy: RateLimitPolicy): RateLimitVerdict {
  return {
    allowed: !result.over,
    remaining: Math.max(0, Math.min(policy.quota, result.remainingPoints)),
    resetSeconds: Math.min(policy.windowSeconds, Math.max(1, Math.ceil(result.msBeforeNext / 1_000))),
  };
}

/** A key longer than the column would make the store fail, and a failing store is a bypass (P48). */
function fixedLength(key: string): string {
  return createHash('sha256').update(key).digest('base64url');
}
