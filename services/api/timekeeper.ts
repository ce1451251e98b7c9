import type { Kysely } from 'kysely';
import { deleteExpiredIdempotencyKeys } from '../database/queries/idempotency.ts';
import { makeNextMonth } from '../database/queries/months.ts';
import { deleteEndedBudgets } from '../database/queries/rate-limits.ts';
import type { Database } from '../database/schema.ts';
import { expireGifts } from '../domain/gifts/end-gifts.ts';
import { queueScheduledGifts } from '../domain/gifts/queue-gifts.ts';
import { remindGifts } from '../domain/gifts/remind-gifts.ts';
import type { GiftId } from '../domain/ids.ts';
import { closeLedger, recountBalances, recountLedger } from '../domain/ledger/close-ledger.ts';
import type { OutboxWriter } from '../domain/outbox.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { Random } from '../runtime/clock.ts';
import { Loop } from './loop.ts';
import { SetAside } from './set-aside.ts';

export type TimekeeperDeps = {
  db: Kysely<Database>;
  outbox: OutboxWriter;
  logger: Logger;
  metrics: Metrics;
  random: Random;
  /** how long before its end a gift's recipient is reminded */
  remindBeforeSeconds: number;
};

/** Does what is due: releases scheduled gifts, reminds, expires, forgets old idempotency keys and ended budgets, adds months to tables. Any number may run. */
export function createTimekeepers(deps: TimekeeperDeps): Loop[] {
  return duties.map(({ name, everyMs, run }) => {
    const setAside = new SetAside({
      step,
      nowMs: () => performance.now(),
      onSetAside: (gift, error) => noteSetAside(deps, name, gift, error),
    });
    return new Loop({
      everyMs,
      random: deps.random,
      run: async (signal) => {
        while (await setAside.run((limit, except) => run(deps, limit, except))) if (signal.aborted) return;
        deps.metrics.giftsSetAside.set({ duty: name }, setAside.size);
      },
      onFailure: (error, nextTryMs) =>
        deps.logger.warn('a duty could not be done', {
          event: 'duty_failed',
          duty: name,
          error,
          next_try_ms: nextTryMs,
        }),
    });
  });
}

function noteSetAside({ logger }: TimekeeperDeps, duty: string, giftId: GiftId, error: unknown): void {
  logger.error('a gift was refused by the database and is set aside; the others go on', {
    event: 'gift_set_aside',
    duty,
    gift_id: giftId,
    error,
  });
}

/** Rows per transaction: small enough that nobody waits for its locks. */
const step = 200;
const idempotencyKeyDays = 30;
/** Rows that came before their month was there: a second's work, while everybody waits. */
const mostMoved = 10_000;

/** @returns how many were done; as many as `limit` means that there may be more */
type Duty = (deps: TimekeeperDeps, limit: number, except: readonly GiftId[]) => Promise<number>;

const duties: { name: string; everyMs: number; run: Duty }[] = [
  {
    name: 'queue_scheduled_gifts',
    everyMs: 1_000,
    run: (deps, limit, except) =>
      deps.db.transaction().execute((trx) => queueScheduledGifts(trx, deps, limit, except)),
  },
  { name: 'expire_gifts', everyMs: 5_000, run: ({ db }, limit, except) => expireGifts(db, limit, except) },
  {
    name: 'remind_gifts',
    everyMs: 30_000,
    run: (deps, limit, except) => {
      const options = { remindBeforeSeconds: deps.remindBeforeSeconds, limit, except };
      return deps.db.transaction().execute((trx) => remindGifts(trx, deps, options));
    },
  },
  {
    name: 'delete_idempotency_keys',
    everyMs: 60_000,
    run: ({ db }, limit) =>
      db.transaction().execute((trx) => deleteExpiredIdempotencyKeys(trx, idempotencyKeyDays, limit)),
  },
  {
    name: 'delete_ended_budgets',
    everyMs: 60_000,
    run: ({ db }, limit) => deleteEndedBudgets(db, limit),
  },
  {
    // What can't be had now is asked for again in ten minutes, and there are months for it.
    name: 'make_months',
    everyMs: 600_000,
    run: async ({ db, logger }, limit) => {
      const made = await makeNextMonth(db, mostMoved);
      if (made === null) return 0;
      logger.info('a month was added to a table', { event: 'month_made', partition: made });
      return limit;
    },
  },
  {
    name: 'close_ledger',
    everyMs: 5_000,
    run: async ({ db }, limit) => ((await closeLedger(db)) ? limit : 0),
  },
  {
    // A step at a time, for ever: the ledger is old, and nobody waits for the end of the round.
    name: 'recount_ledger',
    everyMs: 2_000,
    run: async ({ db }) => {
      await recountLedger(db);
      return 0;
    },
  },
  {
    name: 'recount_balances',
    everyMs: 30_000,
    run: async ({ db }) => {
      await recountBalances(db);
      return 0;
    },
  },
];
