/** What the queues look like when a run sweeps. Counts of SQS are approximate and late. */
export type SweepFacts = {
  /** visible and delayed messages of the source queue; those in flight are with a worker or in a pause, see below */
  waiting: number;
  /** what {@link shortStuckSeconds} makes of the consumer's settings */
  shortStuckSeconds: number;
  /** how long the source queue keeps a message; null where it does not say */
  retentionSeconds: number | null;
  deadLetterRetentionSeconds: number | null;
  /** whether the run saw the whole dead-letter queue */
  scanComplete: boolean;
};

export type SweepDecision = {
  /** under way for longer than this without an end, a gift may have lost its message */
  stuckSeconds: number;
  deadLetterRetentionSeconds: number;
  /** whether a dead letter that was not seen is not there */
  deadLettersSeen: boolean;
  /** whether age alone tells; else the gift's turn in the queue has to be over, or it is older than `lostSeconds` */
  drained: boolean;
  /** older than any message can be */
  lostSeconds: number;
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
 * What makes a gift count as stranded. While messages are waiting somewhere, an old gift may just be waiting for its
 * turn: a backlog is not a loss. There, what was queued later and is received already tells that its turn is over. Pure.
 */
export function decideSweep(facts: SweepFacts): SweepDecision {
  const backlog = backlogOf(facts);
  const lostSeconds = (facts.retentionSeconds ?? 14 * day) + hour;
  return {
    stuckSeconds: facts.shortStuckSeconds,
    deadLetterRetentionSeconds: facts.deadLetterRetentionSeconds ?? 14 * day,
    deadLettersSeen: facts.scanComplete,
    drained: backlog === null,
    lostSeconds: Math.max(lostSeconds, facts.shortStuckSeconds),
    why:
      backlog === null
        ? 'the queue is drained'
        : `${backlog}: what was queued later has to have been received`,
  };
}

function backlogOf({ waiting, scanComplete }: SweepFacts): string | null {
  if (waiting > drainedMessages) return `${waiting} messages wait in the queue`;
  return scanComplete ? null : 'the dead-letter queue was not seen to its end';
}
