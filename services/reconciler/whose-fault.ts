import type { SeenLetter } from './seen-letter.ts';

/**
 * Codes of failures that concern every gift alike: the mail server, the database, our own settings. A gift that died of one
 * so often that it may not be redriven any more has still done nothing wrong, and is not failed for it.
 */
const notTheGifts: ReadonlySet<string> = new Set([
  'mail_unreachable',
  'mail_login_refused',
  'mail_server_refused',
  'mail_busy',
  'database_unavailable',
]);

/** Whether its death can be charged to it. Of an unknown failure it can, within the limits of the quarantine breaker. */
export function isItsOwnFault({ reason, content }: Pick<SeenLetter, 'reason' | 'content'>): boolean {
  return content !== null && !notTheGifts.has(reason);
}
