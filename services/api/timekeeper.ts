import type { Kysely, Transaction } from 'kysely';
import { deleteExpiredIdempotencyKeys } from '../database/queries/idempotency.ts';
import { deleteEndedBudgets } from '../database/queries/rate-limits.ts';
import type { Database } from '../database/schema.ts';
import { expireGifts } from '../domain/gifts/end-gifts.ts';
import { queueScheduledGifts } from '../domain/gifts/queue-gifts.ts';
import { remindGifts } from '../domain/gifts/remind-gifts.ts';
import type { OutboxWriter } from '../domain/outbox.ts';
import type { Logger } from '../observability/logger.ts';
import type { Clock, Random } from '../runtime/clock.ts';
import { Loop } from './loop.ts';

export type TimekeeperDeps = {
  db: Kysely<Database>;
  outbox: OutboxWriter;
  logger: Logger;
  clock: Clock;
  random: Random;
  /** how long before its end a gift's recipient is reminded */
  remindBeforeSeconds: number;
};

/** Does what is due: releases scheduled gifts, reminds, expires, forgets old idempotency keys and ended budgets. Any number may run. */
export function createTimekeepers(deps: TimekeeperDeps): Loop[] {
  return duties.map(
    ({ name, everyMs, run }) =>
      new Loop({
        everyMs,
        random: deps.random,
        run: (signal) => untilDone(deps, run, signal),
        onFailure: (error, nextTryMs) =>
          deps.logger.warn('a duty could not be done', {
            event: 'duty_failed',
            duty: name,
            error,
            next_try_ms: nextTryMs,
          }),
      }),
  );
}

/** Rows per transaction: small enough that nobody waits for its locks. */
const step = 200;
const idempotencyKeyDays = 30;

/** @returns how many were done; as many as `step` means that there may be more */
type Duty = (trx: Transaction<Database>, deps: TimekeeperDeps) => Promise<number>;

const duties: { name: string; everyMs: number; run: Duty }[] = [
  { name: 'queue_scheduled_gifts', everyMs: 1_000, run: (trx, deps) => queueScheduledGifts(trx, deps, step) },
  { name: 'expire_gifts', everyMs: 5_000, run: (trx) => expireGifts(trx, step) },
  {
    name: 'remind_gifts',
    everyMs: 30_000,
    run: (trx, deps) =>
      remindGifts(trx, deps, { remindBeforeSeconds: deps.remindBeforeSeconds, limit: step }),
  },
  {
    name: 'delete_idempotency_keys',
    everyMs: 60_000,
    run: (trx) => deleteExpiredIdempotencyKeys(trx, idempotencyKeyDays, step),
  },
  {
    name: 'delete_ended_budgets',
    everyMs: 60_000,
    run: (trx) => deleteEndedBudgets(trx, step),
  },
];

async function untilDone(deps: TimekeeperDeps, duty: Duty, signal: AbortSignal): Promise<void> {
  let done = step;
  while (done === step && !signal.aborted) {
    done = await deps.db.transaction().execute((trx) => duty(trx, deps));
  }
}
