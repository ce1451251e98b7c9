import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { type FailureOwner, failureOwner } from '../queue/failure-owner.ts';
import type { SendResult } from '../queue/producer.ts';

/** Why a queue takes nothing from this process at the moment, whose fault that is, and for how long. */
export type SendRefusal = { reason: string; owner: FailureOwner; seconds: number };

export type SendWatch = {
  note: (results: readonly SendResult[]) => void;
  refusal: () => SendRefusal | null;
};

/** One request that fails whole may have held one message that is not wanted; the second in a row speaks of all. */
const failuresUntilRefusal = 2;

/**
 * Tells when a queue refuses everything for a reason that is not the messages' own: they wait in the outbox, and somebody
 * has to know. One that is taken ends it.
 */
export function createSendWatch(
  queue: string,
  { logger, metrics }: { logger: Logger; metrics: Pick<Metrics, 'outboxRefused'> },
  nowMs: () => number = () => performance.now(),
): SendWatch {
  let failures = 0;
  let since: { reason: string; atMs: number } | null = null;
  metrics.outboxRefused.set({ queue }, 0);
  return {
    note: (results) => {
      const reason = refusalOf(results);
      if (reason === undefined) return;
      failures = reason === null ? 0 : failures + 1;
      if (reason === null && since !== null) {
        logger.info('the queue takes messages again', { event: 'outbox_taken_again', queue });
      }
      if (failures === failuresUntilRefusal && reason !== null) {
        const owner = failureOwner(reason);
        const fields = { event: 'outbox_refused', marker: '[MONITOR]', queue, reason, owner } as const;
        logger.error('the queue takes no message; all wait in the outbox', fields);
      }
      const refused = failures >= failuresUntilRefusal && reason !== null;
      since = refused ? { reason, atMs: since?.atMs ?? nowMs() } : null;
      metrics.outboxRefused.set({ queue }, refused ? 1 : 0);
    },
    refusal: () =>
      since && {
        reason: since.reason,
        owner: failureOwner(since.reason),
        seconds: (nowMs() - since.atMs) / 1_000,
      },
  };
}

/** Null when something was taken; undefined when nothing is learned about the queue. */
function refusalOf(results: readonly SendResult[]): string | null | undefined {
  if (results.some(({ ok }) => ok)) return null;
  return results.find(
    (result): result is Extract<SendResult, { ok: false }> => !result.ok && result.retryable,
  )?.reason;
}
