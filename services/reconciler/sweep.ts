import type { Transaction } from 'kysely';
import {
  countLateOutboxRows,
  countStuckGifts,
  type StuckCounts,
  touchSubjects,
} from '../database/queries/reconciler-sweep.ts';
import type { Database } from '../database/schema.ts';
import { requeueStranded } from '../domain/gifts/queue-gifts.ts';
import { readQueueDepth } from '../queue/queue-depth.ts';
import { subjectIdsOf } from './letter-subjects.ts';
import { pageSize } from './pages.ts';
import type { LetterResult, Run } from './run.ts';
import { decideSweep, type SweepDecision } from './sweep-decision.ts';

export type SweepResult = {
  decision: SweepDecision;
  /** queued again because their message was lost: what this safety net corrected */
  gifts: number;
  deliveries: number;
  /** only reported: gifts that stand still */
  stuck: StuckCounts;
};

const lateOutboxSeconds = 60;
const stuckLimits = { overdueSeconds: 15 * 60, underWaySeconds: 3_600 };

/** Queues gifts again whose message vanished, at most as many as the run may look at, and counts those that stand still. */
export async function sweep(
  run: Run,
  scan: { complete: boolean; results: readonly LetterResult[] },
): Promise<SweepResult> {
  const source = await readQueueDepth(run.clients, run.queue.sourceUrl);
  const decision = decideSweep({
    messages: source.visible + source.inFlight + source.delayed,
    retentionSeconds: run.queue.sourceRetentionSeconds,
    deadLetterRetentionSeconds: run.queue.retentionSeconds,
    lateOutboxRows: await countLateOutboxRows(run.db, lateOutboxSeconds),
    scanComplete: scan.complete,
  });
  const requeued = run.dryRun
    ? await countRequeues(run, decision, scan.results)
    : await requeuePages(run, decision);
  return { decision, ...requeued, stuck: await countStuckGifts(run.db, stuckLimits) };
}

type Requeued = { gifts: number; deliveries: number };

async function requeuePages(run: Run, decision: SweepDecision): Promise<Requeued> {
  const sum = { gifts: 0, deliveries: 0 };
  for (let left = run.policy.limits.maxMessages; left > 0; left -= pageSize) {
    if (run.stop.aborted || !(await run.lease.confirm())) break;
    const limit = Math.min(left, pageSize);
    const page = await run.db.transaction().execute((trx) => requeueStranded(trx, run, decision, limit));
    sum.gifts += page.gifts;
    sum.deliveries += page.deliveries;
    if (page.gifts < limit && page.deliveries < limit) break;
  }
  return sum;
}

/** The same statements, rolled back: a dry run counts what the real one finds, and changes nothing. */
async function countRequeues(
  run: Run,
  decision: SweepDecision,
  results: readonly LetterResult[],
): Promise<Requeued> {
  const rollback = new Rollback();
  let counted: Requeued = { gifts: 0, deliveries: 0 };
  const rehearse = async (trx: Transaction<Database>) => {
    await touchSubjects(trx, subjectIdsOf(results));
    counted = await requeueStranded(trx, run, decision, run.policy.limits.maxMessages);
    throw rollback;
  };
  await run.db
    .transaction()
    .execute(rehearse)
    .catch((error: unknown) => {
      if (error !== rollback) throw error;
    });
  return counted;
}

/** Ends a transaction whose changes nobody wants. */
class Rollback extends Error {
  override readonly name = 'Rollback';
}
