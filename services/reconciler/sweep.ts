import { closeLeftovers } from '../database/queries/close-leftovers.ts';
import {
  countLateOutboxRows,
  countStuckGifts,
  type StuckCounts,
} from '../database/queries/reconciler-sweep.ts';
import { countStranded } from '../database/queries/stranded.ts';
import { requeueStranded } from '../domain/gifts/queue-gifts.ts';
import { readQueueDepth } from '../queue/queue-depth.ts';
import { subjectIdsOf } from './letter-subjects.ts';
import { pageSize } from './pages.ts';
import type { LetterResult, Run } from './run.ts';
import { decideSweep, type SweepDecision, type SweepFacts, shortStuckSeconds } from './sweep-decision.ts';

/** How the queue and the gifts stood before the run changed anything: what it redrives is no backlog. */
export type Surroundings = Pick<SweepFacts, 'waiting' | 'lateOutboxRows'> & { stuck: StuckCounts };

/** What the sweep did. `closed`: what an end had left open. */
export type SweepResult = Requeued & { decision: SweepDecision; closed: number };

const lateOutboxSeconds = 60;
const stuckLimits = { overdueSeconds: 15 * 60, underWaySeconds: 3_600 };

export async function gatherSurroundings(run: Pick<Run, 'db' | 'clients' | 'queue'>): Promise<Surroundings> {
  const [source, lateOutboxRows, stuck] = await Promise.all([
    readQueueDepth(run.clients, run.queue.sourceUrl),
    countLateOutboxRows(run.db, lateOutboxSeconds),
    countStuckGifts(run.db, stuckLimits),
  ]);
  return { waiting: source.visible + source.delayed, lateOutboxRows, stuck };
}

/** Queues gifts again whose message vanished, at most as many as the run may look at. */
export async function sweep(
  run: Run,
  surroundings: Surroundings,
  scan: { complete: boolean; results: readonly LetterResult[] },
): Promise<SweepResult> {
  const decision = decideSweep({
    ...surroundings,
    shortStuckSeconds: shortStuckSeconds(run.silence),
    retentionSeconds: run.queue.sourceRetentionSeconds,
    deadLetterRetentionSeconds: run.queue.retentionSeconds,
    scanComplete: scan.complete,
  });
  const requeued = run.dryRun
    ? await countRequeues(run, decision, scan.results)
    : await requeuePages(run, decision);
  const closed = run.dryRun ? 0 : await closePages(run);
  return { decision, ...requeued, closed };
}

/** Queued again because their message was lost: what this safety net corrected. */
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

async function closePages(run: Run): Promise<number> {
  let sum = 0;
  for (let left = run.policy.limits.maxMessages; left > 0; left -= pageSize) {
    if (run.stop.aborted || !(await run.lease.confirm())) break;
    const closed = await run.db.transaction().execute((trx) => closeLeftovers(trx, pageSize));
    sum += closed;
    if (closed < pageSize) break;
  }
  return sum;
}

/**
 * What a real run would find after it has dealt with the messages that it saw: their gifts have one. Looks only; a dry
 * run locks nothing.
 */
function countRequeues(
  run: Run,
  decision: SweepDecision,
  results: readonly LetterResult[],
): Promise<Requeued> {
  return countStranded(run.db, decision, {
    except: subjectIdsOf(results),
    limit: run.policy.limits.maxMessages,
  });
}
