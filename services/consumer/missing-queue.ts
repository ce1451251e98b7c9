import type { Logger } from '../observability/logger.ts';
import { isQueueMissing } from '../queue/failure-owner.ts';

/**
 * What to do when a queue that was there is there no more (an emulator that restarted, a queue deleted by hand): it is looked for
 * as at the start, and made where that is wanted. Only a send would else have it made again, and with an idle API nobody
 * sends: what waits in the database would wait for the next gift.
 */
export function watchForMissingQueue(find: () => Promise<unknown>, log: Logger): (error: unknown) => void {
  let finding = false;
  return (error) => {
    if (finding || !isQueueMissing(codeOf(error))) return;
    finding = true;
    log.error('the queue is gone; it is looked for again', {
      event: 'queue_gone',
      marker: '[MONITOR]',
      error,
    });
    find()
      .then(() => log.info('the queue is there again', { event: 'queue_found_again' }))
      // Found out and told by the search itself; it ends without a queue only with the process.
      .catch(() => undefined)
      .finally(() => {
        finding = false;
      });
  };
}

/** A receive fails with the error of SQS, of which the name is the code; a batch with one of ours, which has it. */
function codeOf(error: unknown): string {
  const { name = '', code = name } = (error ?? {}) as { name?: string; code?: unknown };
  return String(code);
}
