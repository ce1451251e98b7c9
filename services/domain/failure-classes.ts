import { isTransientDatabaseError } from '../database/errors.ts';
import type { FailureClass, FailureOwner } from '../database/states.ts';
import { DomainError } from './errors.ts';
import { type FailureReach, judgeRefusal } from './smtp-refusals.ts';
import { readReply } from './smtp-reply.ts';

/**
 * Why an attempt failed, and whose failure it is. `reason` is a fixed text: servers' own words may hold addresses and are
 * never kept.
 */
export type Failure = {
  class: FailureClass;
  owner: FailureOwner;
  /** how many others would meet the same failure */
  reach: FailureReach;
  code: string;
  reason: string;
  retryAfterMs?: number;
};

/** What the failing call tells of itself, read from any error without trusting its shape. */
type Facts = { error: unknown; name: string; code: string; originalCode: string; command: string };
type Rule = (facts: Facts) => Failure | null;

/**
 * Classifies whatever an attempt threw; first rule wins and the unknown is tried again.
 * Pure: the same error always gives the same answer.
 */
export function classifyFailure(error: unknown): Failure {
  const facts = factsOf(error);
  for (const rule of rules) {
    const failure = rule(facts);
    if (failure) return failure;
  }
  const reason = 'an unexpected error; the log has its cause';
  return { class: 'unknown', owner: 'unknown', reach: 'some', code: 'unexpected_error', reason };
}

const ofItem = (code: string, reason: string): Failure => ({
  class: 'permanent',
  owner: 'item',
  reach: 'one',
  code,
  reason,
});
const ofPeer = (reach: FailureReach, code: string, reason: string): Failure => ({
  class: 'transient',
  owner: 'peer',
  reach,
  code,
  reason,
});

const rules: Rule[] = [
  ({ error }) => (error instanceof PermanentFailure ? ofItem(error.code, error.message) : null),
  ({ error }) => (error instanceof TransientFailure ? transientFrom(error) : null),
  ({ error }) => (error instanceof DomainError ? ofItem(error.code, error.message) : null),
  ({ name, code }) =>
    name === 'AbortError' || name === 'TimeoutError' || code === 'ABORT_ERR'
      ? ofPeer('many', 'timed_out', 'the attempt took too long and was stopped')
      : null,
  ({ error }) => {
    const reply = readReply(error);
    return reply && judgeRefusal(reply);
  },
  // An address that the client itself does not put into a command; the sender's was looked at at the start.
  ({ code, command }) =>
    code === 'EENVELOPE' && command === 'API'
      ? ofItem('recipient_refused', 'the address of the recipient can not be sent to')
      : null,
  // Without a reply: the login was not even tried, or the connection could not be made safe.
  ({ code }) =>
    ours.has(code)
      ? {
          ...ofPeer('all', 'mail_login_refused', 'the mail server offers no login that we can use'),
          owner: 'us',
        }
      : null,
  ({ code, originalCode, command }) =>
    code === 'ETLS' ||
    code === 'EREQUIRETLS' ||
    command === 'STARTTLS' ||
    /CERT|SIGNATURE|TLS|SSL|EPROTO/.test(originalCode)
      ? ofPeer(
          'all',
          'mail_tls_refused',
          'the mail server offers no TLS that can be trusted; ?tls=none in SMTP_URL does without',
        )
      : null,
  ({ name }) =>
    name === 'SmtpTimeoutError'
      ? ofPeer('many', 'mail_timed_out', 'the mail server was silent for too long')
      : null,
  ({ code }) =>
    unreachable.has(code) ? ofPeer('all', 'mail_unreachable', 'the mail server could not be reached') : null,
  ({ error }) =>
    isTransientDatabaseError(error)
      ? ofPeer('all', 'database_unavailable', 'the database did not answer')
      : null,
];

const ours = new Set(['EAUTH', 'ENOAUTH', 'EOAUTH2']);

/** nodemailer's names for what went wrong on the way to the server; it never passes a socket's own code on. */
const unreachable = new Set(['ECONNECTION', 'ESOCKET', 'ETIMEDOUT', 'EDNS', 'EPROTOCOL', 'EABORT', 'EPROXY']);

/** Trying again can't help. The message is a fixed text without personal data. */
export class PermanentFailure extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PermanentFailure';
    this.code = code;
  }
}

/** Trying again later can help; `retryAfterMs` is what the other side asked for. */
export class TransientFailure extends Error {
  readonly code: string;
  readonly retryAfterMs: number | undefined;

  constructor(code: string, message: string, options: ErrorOptions & { retryAfterMs?: number } = {}) {
    super(message, options);
    this.name = 'TransientFailure';
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }
}

function transientFrom(error: TransientFailure): Failure {
  const failure = ofPeer('some', error.code, error.message);
  return error.retryAfterMs === undefined ? failure : { ...failure, retryAfterMs: error.retryAfterMs };
}

/** Errors come from other realms and libraries too, so their shape is read and `instanceof Error` is not relied on. */
function factsOf(error: unknown): Facts {
  const { name, code, originalCode, command } = (typeof error === 'object' && error ? error : {}) as Record<
    string,
    unknown
  >;
  return {
    error,
    name: typeof name === 'string' ? name : '',
    code: typeof code === 'string' ? code : '',
    originalCode: typeof originalCode === 'string' ? originalCode : '',
    command: typeof command === 'string' ? command : '',
  };
}
