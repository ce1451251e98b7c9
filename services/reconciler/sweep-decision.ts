/** What the queues look like when a run sweeps. Counts of SQS are approximate and late. */
export type SweepFacts = {
  /** visible, in flight and delayed messages of the source queue */
  messages: number;
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

/** A queue with at most this many messages is drained: counts of an empty queue may show a few for a minute. */
export const drainedMessages = 10;

/** Longer than the longest backoff (15 min) and any handler: a message that exists has been handled meanwhile. */
export const shortStuckSeconds = 20 * 60;

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
    return { stuckSeconds: shortStuckSeconds, deadLetterRetentionSeconds, why: 'the queue is drained' };
  }
  const stuckSeconds = (facts.retentionSeconds ?? 14 * day) + hour;
  return {
    stuckSeconds: Math.max(stuckSeconds, shortStuckSeconds),
    deadLetterRetentionSeconds,
    why: backlog,
  };
}

function backlogOf({ messages, lateOutboxRows, scanComplete }: SweepFacts): string | null {
  if (messages > drainedMessages) return `${messages} messages wait in the queue`;
  if (lateOutboxRows > 0) return `${lateOutboxRows} messages wait for a relay`;
  return scanComplete ? null : 'the dead-letter queue was not seen to its end';
}
