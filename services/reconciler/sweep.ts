import { closeLeftovers } from '../database/queries/close-leftovers.ts';
import { readOutboxIds, readQueueProgress } from '../database/queries/queue-progress.ts';
import { countStuckGifts, type StuckCounts } from '../database/queries/reconciler-sweep.ts';
import { countStranded, type StrandedAge } from '../database/queries/stranded.ts';
import { requeueStranded } from '../domain/gifts/queue-gifts.ts';
import { uuidsOf } from '../domain/ids.ts';
import { readQueueDepth } from '../queue/queue-depth.ts';
import { subjectIdsOf } from './letter-subjects.ts';
import { pageSize } from './pages.ts';
import type { LetterResult, Run } from './run.ts';
import { decideSweep, type SweepDecision, type SweepFacts, shortStuckSeconds } from './sweep-decision.ts';

/** How the queue and the gifts stood before the run changed anything: what it redrives is no backlog. */
export type Surroundings = Pick<SweepFacts, 'waiting'> & { stuck: StuckCounts };

/** What the sweep did. `closed`: what an end had left open. */
export type SweepResult = Requeued & { decision: SweepDecision; closed: number };

/** With more rows than this in the outbox, relays are so far behind that nobody can say what is lost. */
const outboxLimit = 100_000;
const stuckLimits = { overdueSeconds: 15 * 60, underWaySeconds: 3_600 };

export async function gatherSurroundings(run: Pick<Run, 'db' | 'clients' | 'queue'>): Promise<Surroundings> {
  const [source, stuck] = await Promise.all([
    readQueueDepth(run.clients, run.queue.sourceUrl),
    countStuckGifts(run.db, stuckLimits),
  ]);
  return { waiting: source.visible + source.delayed, stuck };
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
  const age = await ageOf(run, decision);
  const requeued = run.dryRun ? await countRequeues(run, age, scan.results) : await requeuePages(run, age);
  const closed = run.dryRun ? 0 : await closePages(run);
  return { decision, ...requeued, closed };
}

/** The decision with the facts that it asks for. What waits for a relay has its message, whatever the queue looks like. */
async function ageOf({ db }: Run, decision: SweepDecision): Promise<StrandedAge> {
  const { stuckSeconds, deadLetterRetentionSeconds, deadLettersSeen, lostSeconds, drained } = decision;
  const inOutbox = await readOutboxIds(db, outboxLimit);
  const late = inOutbox.length >= outboxLimit;
  return {
    stuckSeconds: late ? lostSeconds : stuckSeconds,
    deadLetterRetentionSeconds,
    deadLettersSeen,
    inOutbox: uuidsOf(inOutbox),
    ...(drained ? {} : { backlog: { lostSeconds, progress: await readQueueProgress(db) } }),
  };
}

/** Queued again because their message was lost: what this safety net corrected. */
type Requeued = { gifts: number; deliveries: number };

async function requeuePages(run: Run, age: StrandedAge): Promise<Requeued> {
  const sum = { gifts: 0, deliveries: 0 };
  for (let left = run.policy.limits.maxMessages; left > 0; left -= pageSize) {
    if (run.stop.aborted || !(await run.lease.confirm())) break;
    const limit = Math.min(left, pageSize);
    const page = await run.db.transaction().execute((trx) => requeueStranded(trx, run, age, limit));
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
function countRequeues(run: Run, age: StrandedAge, results: readonly LetterResult[]): Promise<Requeued> {
  return countStranded(run.db, age, {
    except: subjectIdsOf(results),
    limit: run.policy.limits.maxMessages,
  });
}
