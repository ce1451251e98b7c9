/** What the queues look like when a run sweeps. Counts of SQS are approximate and late. */
export type SweepFacts = {
  /** visible and delayed messages of the source queue; those in flight are with a worker or in a pause, see below */
  waiting: number;
  /** what {@link shortStuckSeconds} makes of the consumer's settings */
  shortStuckSeconds: number;
  /** how long the source queue keeps a message; null where it does not say */
  retentionSeconds: number | null;
  deadLetterRetentionSeconds: number | null;
  /** committed messages that no relay has published although it should have */
  lateOutboxRows: number;
  /** whether the run saw the whole dead-letter queue */
  scanComplete: boolean;
};

export type SweepDecision = {
  /** under way for longer than this without an end, a gift has lost its message */
  stuckSeconds: number;
  deadLetterRetentionSeconds: number;
  why: string;
};

/** A queue with at most this many messages waiting is drained: counts of an empty queue may show a few for a minute. */
export const drainedMessages = 10;

/** How long a consumer may be silent about a gift: the longest pause between attempts, and the lease of an attempt. */
export type DeliverySilence = { retryCapMs: number; leaseSeconds: number };

/** Clocks and counts of SQS are late by a minute or two; a pause is ended by a receive, which has to come first. */
const marginSeconds = 240;

/**
 * Longer than the longest pause and the attempt after it: a message in flight has been handled meanwhile, so a gift
 * that stood still for longer has none, however many are in flight. Pure.
 */
export function shortStuckSeconds({ retryCapMs, leaseSeconds }: DeliverySilence): number {
  return Math.max(20 * 60, Math.ceil(retryCapMs / 1_000) + leaseSeconds + marginSeconds);
}

const hour = 3_600;
const day = 24 * hour;

/**
 * From which age a gift counts as stranded. While messages are waiting somewhere, an old gift may just be waiting for
 * its turn: a backlog is not a loss, and only what is older than any message can be has none. Pure.
 */
export function decideSweep(facts: SweepFacts): SweepDecision {
  const deadLetterRetentionSeconds = facts.deadLetterRetentionSeconds ?? 14 * day;
  const backlog = backlogOf(facts);
  if (backlog === null) {
    return { stuckSeconds: facts.shortStuckSeconds, deadLetterRetentionSeconds, why: 'the queue is drained' };
  }
  const stuckSeconds = (facts.retentionSeconds ?? 14 * day) + hour;
  return {
    stuckSeconds: Math.max(stuckSeconds, facts.shortStuckSeconds),
    deadLetterRetentionSeconds,
    why: backlog,
  };
}

function backlogOf({ waiting, lateOutboxRows, scanComplete }: SweepFacts): string | null {
  if (waiting > drainedMessages) return `${waiting} messages wait in the queue`;
  if (lateOutboxRows > 0) return `${lateOutboxRows} messages wait for a relay`;
  return scanComplete ? null : 'the dead-letter queue was not seen to its end';
}
