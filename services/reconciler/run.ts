import type { Kysely } from 'kysely';
import type { Database } from '../database/schema.ts';
import type { Verdict } from '../database/states.ts';
import type { OutboxWriter } from '../domain/outbox.ts';
import type { Logger } from '../observability/logger.ts';
import type { DeadLetterQueue } from '../queue/dead-letter-queue.ts';
import type { DeadLetters } from '../queue/dead-letters.ts';
import type { QueueClients } from '../queue/sqs.ts';
import type { Clock } from '../runtime/clock.ts';
import type { CircuitWatch } from './circuit-watch.ts';
import type { Policy } from './policy.ts';
import type { Judgement } from './seen-letter.ts';
import type { DeliverySilence } from './sweep-decision.ts';

/** What the reconciler works with; `main.ts` makes the real ones. */
export type ReconcilerDeps = {
  db: Kysely<Database>;
  clients: QueueClients;
  outbox: OutboxWriter;
  log: Logger;
  /** a clock that tells the database's time: what a run compares was stamped by it */
  openClock: () => Promise<Clock>;
  silence: DeliverySilence;
};

/** The right to work alone, for as long as it lasts. */
export type Right = {
  /** aborted once it is known to be lost; the reason is a sentence */
  lost: AbortSignal;
  /** by the local clock */
  isValid: () => boolean;
};

/** A right that can be asked for, and is prolonged by it, right before something is done. */
export type ConfirmedRight = Right & { confirm: () => Promise<boolean> };

/** Both: what is confirmed by one must not have been lost to the other. */
export function bothRights(one: ConfirmedRight, other: Right): ConfirmedRight {
  const isValid = () => one.isValid() && other.isValid();
  return {
    lost: AbortSignal.any([one.lost, other.lost]),
    isValid,
    confirm: async () => (await one.confirm()) && isValid(),
  };
}

/** `unknown`: the queue service does not list move tasks, and a redrive from its own console would not be noticed. */
export type MoveTaskKnowledge = 'known' | 'unknown';

/** One run on one queue, which it has for itself. */
export type Run = ReconcilerDeps & {
  id: string;
  policy: Policy;
  dryRun: boolean;
  startedAt: Date;
  /** goes on from `startedAt` */
  clock: Clock;
  lease: ConfirmedRight;
  circuit: CircuitWatch;
  /** whether the queue service tells of redrives of its own */
  moveTasks: MoveTaskKnowledge;
  letters: DeadLetters;
  queue: DeadLetterQueue;
  /** aborted when the process is to stop or the lease is lost */
  stop: AbortSignal;
};

/**
 * What became of one message. `planned`: a dry run would have done it. `waits`: it stays in its queue, visible again.
 * `stopped`: the run ended before its turn. `failed`: SQS did not take a part of it; the next run goes on with it.
 */
export type LetterResult = Pick<Judgement, 'letter' | 'rule' | 'why' | 'archive' | 'deleteOnly'> & {
  verdict: Verdict;
  outcome: 'applied' | 'planned' | 'waits' | 'stopped' | 'failed';
  /** SQS's code for a failure; for a redrive, that it was sent and could not be deleted */
  detail?: string;
};

export function stopped(judgement: Judgement): LetterResult {
  return { ...judgement, outcome: 'stopped' };
}
