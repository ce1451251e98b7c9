import { isTransientDatabaseError } from '../database/errors.ts';
import type { FailureClass } from '../database/states.ts';
import { DomainError } from './errors.ts';

/** Why an attempt failed. `reason` is a fixed text: servers' own words may hold addresses and are never kept. */
export type Failure = { class: FailureClass; code: string; reason: string; retryAfterMs?: number };

/** What the failing call tells of itself, read from any error without trusting its shape. */
type Facts = {
  error: unknown;
  name: string;
  code: string;
  /** what the server was answering, as nodemailer names it */
  smtpCommand: string;
  smtpStatus: number | undefined;
};
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
  return { class: 'unknown', code: 'unexpected_error', reason: 'an unexpected error; the log has its cause' };
}

const transient = (code: string, reason: string): Failure => ({ class: 'transient', code, reason });
const permanent = (code: string, reason: string): Failure => ({ class: 'permanent', code, reason });

const rules: Rule[] = [
  ({ error }) => (error instanceof PermanentFailure ? permanent(error.code, error.message) : null),
  ({ error }) => (error instanceof TransientFailure ? transientFrom(error) : null),
  ({ error }) => (error instanceof DomainError ? permanent(error.code, error.message) : null),
  ({ name, code }) =>
    name === 'AbortError' || name === 'TimeoutError' || code === 'ABORT_ERR'
      ? transient('timed_out', 'the attempt took too long and was stopped')
      : null,
  // The operator can mend credentials while messages wait, so this is not the gift's fault.
  ({ code, smtpStatus }) =>
    code === 'EAUTH' || smtpStatus === 530 || smtpStatus === 535
      ? transient('mail_login_refused', 'the mail server refused our login')
      : null,
  // Said to the greeting or to MAIL FROM it speaks of us. Taken for the gifts' fault, one wrong MAIL_FROM would fail them all.
  ({ smtpCommand, smtpStatus }) =>
    smtpStatus && smtpStatus >= 500 && smtpCommand !== '' && !aboutTheMail.has(smtpCommand)
      ? transient('mail_server_refused', `the mail server refused us, whatever the mail (SMTP ${smtpStatus})`)
      : null,
  ({ smtpStatus }) =>
    smtpStatus && smtpStatus >= 400 && smtpStatus < 500
      ? transient('mail_deferred', `the mail server asked to try later (SMTP ${smtpStatus})`)
      : null,
  ({ code, smtpStatus }) =>
    smtpStatus && smtpStatus >= 500
      ? code === 'EENVELOPE'
        ? permanent('recipient_refused', `the mail server refused the recipient (SMTP ${smtpStatus})`)
        : permanent('mail_refused', `the mail server refused the message (SMTP ${smtpStatus})`)
      : null,
  ({ code }) =>
    unreachable.has(code) ? transient('mail_unreachable', 'the mail server could not be reached') : null,
  ({ error }) =>
    isTransientDatabaseError(error) ? transient('database_unavailable', 'the database did not answer') : null,
];

/** The commands whose answer speaks of one recipient or one content. */
const aboutTheMail = new Set(['RCPT TO', 'DATA']);

/** nodemailer's names for what went wrong on the way to the server; it never passes a socket's own code on. */
const unreachable = new Set([
  'ECONNECTION',
  'ESOCKET',
  'ETIMEDOUT',
  'EDNS',
  'ETLS',
  'EPROTOCOL',
  'EABORT',
  'EREQUIRETLS',
  'EPROXY',
]);

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
  const failure = transient(error.code, error.message);
  return error.retryAfterMs === undefined ? failure : { ...failure, retryAfterMs: error.retryAfterMs };
}

/** Errors come from other realms and libraries too, so their shape is read and `instanceof Error` is not relied on. */
function factsOf(error: unknown): Facts {
  const { name, code, command, responseCode } = (typeof error === 'object' && error ? error : {}) as Record<
    string,
    unknown
  >;
  return {
    error,
    name: typeof name === 'string' ? name : '',
    code: typeof code === 'string' ? code : '',
    smtpCommand: typeof command === 'string' ? command : '',
    smtpStatus: typeof responseCode === 'number' ? responseCode : undefined,
  };
}
