import { movedBySqs } from './dead-letter.ts';
import type { SeenLetter } from './seen-letter.ts';

/** Codes of passing failures that speak of one recipient; all others are ours or a peer's, and would meet any gift. */
const ofTheRecipient: ReadonlySet<string> = new Set(['mailbox_unavailable', 'recipient_refused']);

type Death = Pick<SeenLetter, 'class' | 'reason' | 'content' | 'failureClass' | 'failureCode'>;

/**
 * Whether its death can be charged to it, once it may not be redriven any more. A gift that died as often of a mail server
 * that was away has done nothing wrong. Of an unknown failure it can, within the limits of the quarantine breaker; of a
 * message that is not known here there is nothing to charge.
 */
export function isItsOwnFault(letter: Death): boolean {
  if (letter.content === null) return false;
  const cause = causeOf(letter);
  return cause !== null && (cause.class !== 'transient' || ofTheRecipient.has(cause.code));
}

/**
 * SQS moves a message for how often it was received, and that says nothing of it: each pause of the mail server and each
 * restart of a consumer costs a receive. What the gift itself failed of last does; null where nothing ever failed.
 */
function causeOf({ class: died, reason, failureClass, failureCode }: Death) {
  if (reason !== movedBySqs) return { class: died, code: reason };
  return failureClass === null ? null : { class: failureClass, code: failureCode ?? '' };
}
