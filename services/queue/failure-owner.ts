/** Whose fault a refusal of SQS is: of this one message, of our set-up, of SQS itself, or nobody can tell. */
export type FailureOwner = 'message' | 'us' | 'peer' | 'unknown';

/**
 * Read from the code and not from `SenderFault`: SQS calls throttling of a key, a missing permission and a queue of another
 * kind the sender's fault, too, and they pass or can be mended while the messages wait. First match wins; codes come
 * bare, with the prefix of a service, or as the name of an exception.
 */
const owners: readonly (readonly [RegExp, FailureOwner])[] = [
  [/throttl|overlimit|limitexceeded|toomanyrequests|slowdown|bandwidth/i, 'peer'],
  // Only what names the content itself is proven to be the message's own.
  [/^(oversize|InvalidMessageContents)$/, 'message'],
  [/kms/i, 'us'],
  [
    // A clock that is wrong, an account that is not in order, a certificate that is not trusted: all of them ours to mend.
    /access|authoriz|authenticat|forbidden|signature|credential|token|optin|security|unrecognizedclient|expired|skewed|verification|accountproblem|blocked|^CERT_|_CERT|UNABLE_TO_|SELF_SIGNED|ERR_TLS|ERR_SSL/i,
    'us',
  ],
  [/QueueDoesNotExist|NonExistentQueue|QueueDeletedRecently|InvalidAddress|UnknownEndpoint/i, 'us'],
  [/parameter|attribute|unsupported|invalidaction|unknownoperation|validation|toolong|batch/i, 'us'],
  [/unavailable|internal|timeout|unconfirmed|aborted|network|socket|^E[A-Z_]{3,}$|queue_not_found/i, 'peer'],
];

/** The only reasons for which a message is given up before a person has looked at it. */
export const messageFaults = ['oversize', 'InvalidMessageContents'] as const;

export function failureOwner(code: string): FailureOwner {
  return owners.find(([pattern]) => pattern.test(code))?.[1] ?? 'unknown';
}

/** The queue found is not there any more, or not where it was: it must be looked for again. */
export function isQueueMissing(code: string): boolean {
  return /QueueDoesNotExist|NonExistentQueue/.test(code);
}

/** No SQS queue can be set to take less than this: an answer of "too long" to a shorter message is not about the message. */
const leastQueueLimitBytes = 1_024;

/**
 * The code of a refused message, bare: `oversize` where SQS calls a batch of one too long, because a queue may be set to
 * take less than SQS itself does.
 */
export function refusalCode(code: string, messageBytes: number): string {
  if (/TooLong/.test(code) && messageBytes > leastQueueLimitBytes) return 'oversize';
  const bare = code.replace(/^.*[.#]/, '');
  return bare === 'InvalidMessageContents' ? bare : code;
}
