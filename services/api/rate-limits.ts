import { createHash } from 'node:crypto';
import type { DatabaseClient } from '../database/client.ts';
import { RateLimitStore } from './rate-limit-store.ts';
import { SlidingWindows, slotMsOf } from './sliding-window.ts';

/** At most `quota` requests of a key in any `windowSeconds`. */
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
  /** of this process, and steady */
  nowMs?: () => number;
};

/** Budgets kept in Postgres, shared by all API processes; in this process's memory while Postgres hangs or is away. */
export function createRateLimits(client: DatabaseClient, options: RateLimitOptions): RateLimits {
  const store = new RateLimitStore(client.db, {
    timeoutMs: options.timeoutMs ?? 250,
    pauseMs: 1_000,
    onFailure: options.onStoreFailure ?? (() => undefined),
  });
  const nowMs = options.nowMs ?? (() => performance.now());
  const limit = (name: RateLimitPolicy['name']) =>
    createLimit(store, { name, ...options.policies[name] }, nowMs);
  return { ip: limit('ip'), key: limit('key'), claim: limit('claim') };
}

/** Networks and keys that a process remembers: some tens of megabytes when all of them are busy. */
const maxKeys = 50_000;

/**
 * What this process lets through is noted here besides: when the store goes away or comes back, the window that was
 * begun with the one goes on with the other. Whoever used it up here, or was refused there, costs no more statements.
 */
function createLimit(store: RateLimitStore, policy: RateLimitPolicy, nowMs: () => number): RateLimit {
  const { name, quota, windowSeconds } = policy;
  const windowMs = windowSeconds * 1_000;
  const own = new SlidingWindows({ quota, windowMs, maxKeys, nowMs });
  const refused = new Refusals(nowMs);
  const consume = async (key: string): Promise<RateLimitVerdict> => {
    const id = `${name}/${fixedLength(key)}`;
    const blockedMs = refused.remainingMs(id);
    if (blockedMs > 0) return toVerdict(policy, { granted: 0, used: quota, reset_ms: blockedMs });
    const here = own.look(id);
    if (here.used >= quota) return toVerdict(policy, { granted: 0, ...here });
    const row = await store.take({ key: id, points: 1, quota, slotMs: slotMsOf(windowMs) }).catch(() => null);
    if (row === null) return toVerdict(policy, own.take(id));
    if (row.granted === 0) refused.note(id, row.reset_ms);
    // Requests may have passed without the store while this one waited for it.
    else if (own.take(id).granted === 0) return toVerdict(policy, { granted: 0, ...own.look(id) });
    return toVerdict(policy, row);
  };
  return { policy, consume };
}

/** Until when the store has nothing for a key. */
class Refusals {
  readonly #nowMs: () => number;
  readonly #until = new Map<string, number>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  remainingMs(key: string): number {
    return (this.#until.get(key) ?? 0) - this.#nowMs();
  }

  note(key: string, forMs: number): void {
    this.#until.delete(key);
    this.#until.set(key, this.#nowMs() + forMs);
    const [oldest] = this.#until.keys();
    if (this.#until.size > maxKeys && oldest !== undefined) this.#until.delete(oldest);
  }
}

function toVerdict(
  { quota }: RateLimitPolicy,
  { granted, used, reset_ms: resetMs }: { granted: number; used: number; reset_ms: number },
): RateLimitVerdict {
  return {
    allowed: granted > 0,
    remaining: Math.max(0, quota - used),
    resetSeconds: Math.max(1, Math.ceil(resetMs / 1_000)),
  };
}

/** A key longer than the column would make the store fail, and a failing store is a bypass (P48). */
function fixedLength(key: string): string {
  return createHash('sha256').update(key).digest('base64url');
}
