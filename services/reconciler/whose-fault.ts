import type { SeenLetter } from './seen-letter.ts';

/** Codes of passing failures that speak of one recipient; all others are ours or a peer's, and would meet any gift. */
const ofTheRecipient: ReadonlySet<string> = new Set(['mailbox_unavailable', 'recipient_refused']);

/**
 * Whether its death can be charged to it, once it may not be redriven any more. A gift that died as often of a mail server
 * that was away has done nothing wrong. Of an unknown failure it can, within the limits of the quarantine breaker; of a
 * message that is not known here there is nothing to charge.
 */
export function isItsOwnFault({
  class: failureClass,
  reason,
  content,
}: Pick<SeenLetter, 'class' | 'reason' | 'content'>): boolean {
  return content !== null && (failureClass !== 'transient' || ofTheRecipient.has(reason));
}
