import { databaseFault } from '../database/errors.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { QueueMessage } from '../queue/message.ts';
import type { Handled } from './handled.ts';

/** One wide log line and the gift metrics for every message handled. Request id and trace id come from the context. */
export function createReport(deps: { metrics: Metrics; log: Logger }) {
  return (message: QueueMessage, handled: Handled, durationMs: number): void => {
    const { outcome, result, error, ...facts } = handled;
    countHandled(deps.metrics, handled, durationMs / 1_000);
    const fields = {
      event: 'message_handled',
      ...facts,
      result,
      outcome: outcome.kind,
      ...(outcome.kind === 'retry' ? { retry_delay_seconds: outcome.delaySeconds } : {}),
      duration_ms: Math.round(durationMs),
      age_ms: Date.now() - message.sentAt.getTime(),
      ...(error === undefined ? {} : { error }),
    };
    const level = needsAttention.has(result) ? 'warn' : 'info';
    deps.log[level](`message handled: ${result}`, fields);
  };
}

/** How often a wait of many is logged: at its begin, and then about twice a minute. */
const logEvery = 15;

/** What is waited for after a mail is out: counted each time, logged when it begins and while it lasts. */
export function settleWaits({ metrics, log }: { metrics: Metrics; log: Logger }) {
  return (error: unknown, attempt: number): void => {
    metrics.settleRetries.inc({ fault: databaseFault(error) });
    if (attempt % logEvery !== 1) return;
    log.warn('an outcome can not be recorded yet; it is tried again', {
      event: 'settle_waits',
      attempt,
      error,
    });
  };
}

const needsAttention: ReadonlySet<Handled['result']> = new Set([
  'retry',
  'in_doubt',
  'dead_letter',
  'given_up',
  'missing',
  'poison',
  'not_understood',
  'overtaken',
  'unsettled',
  'unclaimed',
]);

/** A failed attempt counts once, whatever follows from it. */
function countHandled(
  metrics: Metrics,
  { outcome, result, class: failureClass, waited_seconds: waitedSeconds }: Handled,
  seconds: number,
): void {
  metrics.giftProcessingSeconds.observe({ outcome: result }, seconds);
  if (waitedSeconds !== undefined) metrics.giftDeliverySeconds.observe(waitedSeconds);
  if (outcome.kind !== 'retry') metrics.giftsProcessed.inc({ outcome: result });
  if (failureClass === undefined) return;
  metrics.giftsFailed.inc({ class: failureClass });
  if (outcome.kind === 'retry') metrics.giftsRetried.inc({ class: failureClass });
  if (outcome.kind === 'dead-letter') metrics.giftsDeadLettered.inc({ class: failureClass });
}
