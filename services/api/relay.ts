import { AsyncLocalStorage } from 'node:async_hooks';
import {
  claimOutboxRows,
  deleteOutboxRows,
  type OutboxMessage,
  recallOutboxRows,
} from '../database/queries/outbox.ts';
import { unparkOutboxRowsExcept } from '../database/queries/parked-outbox.ts';
import type { OutboxRow } from '../domain/gifts/accept-gifts.ts';
import { Batcher } from '../queue/batcher.ts';
import { messageFaults } from '../queue/failure-owner.ts';
import { Loop } from './loop.ts';
import { keepUnsent, type RelayDeps, type Sent, sendRows } from './relay-send.ts';
import { SweepStart } from './sweep-start.ts';

export type RelayOptions = {
  sweepEveryMs?: number;
  /** how long a sweep may take over the rows that it claimed, before another sweep may */
  leaseSeconds?: number;
  /** rows per claim of a sweep */
  claimSize?: number;
  /** claims under way at once while there is a backlog */
  lanes?: number;
  /** how long a fresh row waits for company: ten messages cost one request, and so does one */
  gatherMs?: number;
  /** how often a sweep begins with the oldest row there is, and finds what was committed late or given back */
  wholeEveryMs?: number;
  /** how often rows are looked for that wait for no good reason: parked for no fault of their own, or for a time far ahead */
  releaseEveryMs?: number;
};

/** A row in memory for this long has gone stale: its lease ends soon, and a sweep will see to it. */
const staleMs = 5_000;
/** While SQS takes nothing, fresh rows are left to the sweep for this long, which backs off and probes with few of them. */
const freshPauseMs = 2_000;
/** One request that fails whole may have held one bad row; the second in a row says that SQS takes nothing. */
const failuresUntilPause = 2;
/** No lease and no pause of a row lasts nearly as long. */
const farAheadSeconds = 600;
/** Rows in memory beyond this many are left to the sweep: a slow SQS must not fill the memory. */
const maxInHand = 10_000;

type InHand = { row: OutboxRow; since: number };

/**
 * Publishes committed outbox rows: at once those of this process, handed over in memory, and by a sweep those that
 * somebody left behind. A row is deleted after it was sent, so a crash repeats a message and never loses one. No
 * transaction and no connection is held while SQS is talked to.
 */
export class Relay {
  readonly #deps: RelayDeps;
  readonly #options: Required<RelayOptions>;
  readonly #fresh: Batcher<InHand, undefined>;
  readonly #sent: Batcher<string, undefined>;
  readonly #sweep: Loop;
  readonly #start: SweepStart;
  readonly #release: Loop;
  readonly #outside = AsyncLocalStorage.snapshot();
  #inHand = 0;
  #failuresInRow = 0;
  #freshPausedUntil = 0;
  #stopped = false;

  constructor(deps: RelayDeps, options: RelayOptions = {}) {
    this.#deps = deps;
    this.#options = {
      sweepEveryMs: 1_000,
      leaseSeconds: 30,
      claimSize: 500,
      lanes: 3,
      gatherMs: 30,
      wholeEveryMs: 30_000,
      releaseEveryMs: 30_000,
      ...options,
    };
    this.#fresh = new Batcher({
      run: (rows) => this.#publishFresh(rows),
      maxSize: 10,
      maxDelayMs: this.#options.gatherMs,
    });
    this.#sent = new Batcher({ run: (ids) => this.#delete(ids), maxSize: 500, maxDelayMs: 20 });
    const loop = (everyMs: number, run: (signal: AbortSignal) => Promise<void>) =>
      new Loop({
        everyMs,
        run,
        random: deps.random,
        onFailure: (error, nextTryMs) =>
          deps.logger.warn('the outbox could not be published', {
            event: 'outbox_sweep_failed',
            error,
            next_try_ms: nextTryMs,
          }),
      });
    this.#start = new SweepStart({
      wholeEveryMs: this.#options.wholeEveryMs,
      nowMs: () => performance.now(),
    });
    this.#sweep = loop(this.#options.sweepEveryMs, (signal) => this.#sweepAll(signal));
    this.#release = loop(this.#options.releaseEveryMs, async () => {
      await this.#recall();
      await this.#unparkInnocent();
    });
  }

  start(): void {
    this.#sweep.start();
    this.#release.start();
  }

  /** Takes over rows whose transaction has committed. Returns at once; what it can't take, the sweep finds. */
  publish(rows: readonly OutboxRow[]): void {
    for (const row of rows) {
      if (!this.#takesFresh()) return;
      this.#inHand += 1;
      void this.#outside(() => this.#fresh.add({ row, since: performance.now() }))
        .catch((error: unknown) => this.#report(error))
        .finally(() => {
          this.#inHand -= 1;
        });
    }
  }

  /** Ends the sweep, sends what is in memory, deletes what was sent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([this.#sweep.stop(), this.#release.stop()]);
    await this.#fresh.close();
    await this.#sent.close();
  }

  #takesFresh(): boolean {
    return !this.#stopped && this.#inHand < maxInHand && performance.now() >= this.#freshPausedUntil;
  }

  async #publishFresh(rows: readonly InHand[]): Promise<undefined[]> {
    const since = performance.now() - staleMs;
    const outcome = await sendRows(
      this.#deps,
      rows.filter((held) => held.since >= since).map((held) => held.row),
    );
    this.#note(outcome);
    // Deletes first: were they behind a statement that fails, what SQS has would go out again.
    for (const id of outcome.sent) void this.#sent.add(id).catch((error: unknown) => this.#report(error));
    await keepUnsent(this.#deps, outcome);
    return rows.map(() => undefined);
  }

  async #sweepAll(signal: AbortSignal): Promise<void> {
    const more = await this.#sweepOnce();
    if (!more) return;
    const lane = async () => {
      while (!signal.aborted && (await this.#sweepOnce()));
    };
    // All of them end before the round does: what a lane holds must not outlive stop().
    const ended = await Promise.allSettled(Array.from({ length: this.#options.lanes }, lane));
    const failed = ended.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** @returns whether there is more to do. @throws when SQS takes nothing, for the loop to back off */
  async #sweepOnce(): Promise<boolean> {
    const { db, queues } = this.#deps;
    // While SQS fails, ten rows are enough to find out whether it still does.
    const size = this.#failuresInRow > 0 ? 10 : this.#options.claimSize;
    const claimed = await this.#claim(db, queues, size);
    if (claimed.length === 0) return false;
    const outcome = await sendRows(this.#deps, claimed.map(toOutboxRow));
    const { sent, failed, reason } = outcome;
    await deleteOutboxRows(db, sent);
    this.#note(outcome);
    await keepUnsent(this.#deps, outcome);
    if (!isWhollyFailed(outcome)) return claimed.length === size;
    throw new Error(`${failed.length} of ${claimed.length} messages were not taken: ${reason}`);
  }

  async #claim(db: RelayDeps['db'], queues: readonly string[], limit: number): Promise<OutboxMessage[]> {
    const { fromMs, ended } = this.#start.next();
    const { leaseSeconds } = this.#options;
    const { rows, untilMs } = await claimOutboxRows(db, queues, { limit, leaseSeconds, fromMs });
    ended(untilMs);
    return rows;
  }

  /** What SQS takes of others proves that it works: a row that it refuses must not hold them up. */
  #note(outcome: Sent): void {
    if (isWhollyFailed(outcome)) this.#failuresInRow += 1;
    else if (outcome.sent.length > 0) this.#failuresInRow = 0;
    if (this.#failuresInRow >= failuresUntilPause) this.#freshPausedUntil = performance.now() + freshPauseMs;
  }

  async #recall(): Promise<void> {
    const { db, queues, logger } = this.#deps;
    const rows = await recallOutboxRows(db, queues, farAheadSeconds);
    if (rows === 0) return;
    logger.warn('messages of a time far ahead are sent now: the clock of the database was set back', {
      event: 'outbox_rows_recalled',
      rows,
    });
  }

  /** A release that runs beside or ran before this one parks what it does not know and what SQS refuses for a while. */
  async #unparkInnocent(): Promise<void> {
    const { db, queues, logger } = this.#deps;
    for (const { reason, rows } of await unparkOutboxRowsExcept(db, queues, messageFaults)) {
      logger.warn('parked messages are sent again: it was not their fault', {
        event: 'outbox_rows_released',
        reason,
        rows,
      });
    }
  }

  async #delete(ids: readonly string[]): Promise<undefined[]> {
    await deleteOutboxRows(this.#deps.db, ids);
    return ids.map(() => undefined);
  }

  /** Nothing is lost by it: a row that stays is sent again. */
  #report(error: unknown): void {
    this.#deps.logger.warn('an outbox row stays for the sweep', { event: 'outbox_row_left', error });
  }
}

function isWhollyFailed({ sent, failed }: Sent): boolean {
  return sent.length === 0 && failed.length > 0;
}

function toOutboxRow(row: OutboxMessage): OutboxRow {
  return {
    id: row.id,
    queue: row.queue,
    body: row.body,
    groupId: row.group_id,
    traceHeader: row.trace_header,
  };
}
