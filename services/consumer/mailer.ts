import { createTransport } from 'nodemailer';
import type { MailText } from '../domain/notifications/mail-text.ts';
import type { MailFrom } from '../runtime/mail-from.ts';
import type { SmtpServer } from '../runtime/smtp-url.ts';
import { readAsWritten } from './mail-headers.ts';
import { type SendProgress, watchProgress } from './mail-progress.ts';
import type { SmtpTimes } from './smtp-clock.ts';
import { connectionsTo, SmtpTimeoutError } from './smtp-connect.ts';

export type OutgoingMail = MailText & {
  to: string;
  /** without angle brackets; the same for every attempt at one delivery */
  messageId: string;
};

export type SendResult =
  | { ok: true }
  | {
      ok: false;
      error: unknown;
      /** whether the mail had got as far as a connection */
      begun: boolean;
      /** whether the server may have accepted the mail all the same: it was given content and has not said no */
      inDoubt: boolean;
    };

export type SendOptions = { patience?: AbortSignal; mayLeave?: () => Promise<void> };

export type Mailer = {
  /**
   * Never rejects. An aborted `signal` ends the attempt, wherever it is; an aborted `patience` ends the wait for a
   * connection, and nothing once the mail is on one. `mayLeave` is called when the server asks for the content: it is given no
   * byte of it before that resolves, and none when it rejects, whose error is the result's.
   */
  send: (mail: OutgoingMail, signal: AbortSignal, options?: SendOptions) => Promise<SendResult>;
  /** Idle connections at once; one in the middle of a mail when it is done. */
  close: () => void;
};

export type MailerOptions = {
  server: SmtpServer;
  from: MailFrom;
  maxConnections: number;
  times: SmtpTimes;
};

/**
 * A pool of SMTP connections, opened with the first mail: a mail server that is away at start is a failed attempt later and
 * no failed start.
 *
 * SMTP delivers at least once: a server that accepts a mail and whose answer is lost has the mail, and we don't know. Hence
 * the deterministic Message-ID: a second copy is recognisable as the same mail, and its link is the same link.
 */
export function createMailer(options: MailerOptions): Mailer {
  const { from, times } = options;
  const progressOf = watchProgress();
  const transport = createTransport({
    ...transportOptions(options),
    getSocket: connectionsTo(options.server, times, progressOf.begunOn),
  } as Parameters<typeof createTransport>[0]);
  progressOf.watch(transport);
  return {
    close: () => transport.close(),
    send: async ({ to, messageId, subject, text, html }, callerSignal, { patience, mayLeave } = {}) => {
      const impatience = new AbortController();
      // A signal of its own names this send, also when two copies of one mail are under way.
      const signal = AbortSignal.any([callerSignal, impatience.signal]);
      const progress = progressOf.send(signal, mayLeave);
      const hurry = () => progress.begun() || impatience.abort(patience?.reason);
      patience?.addEventListener('abort', hurry);
      if (patience?.aborted) hurry();
      try {
        await transport.sendMail({
          from: { name: from.name, address: from.address },
          // As an object: a parser that took the address apart could find two recipients in it.
          to: { name: '', address: to },
          messageId: `<${messageId}>`,
          subject: readAsWritten(subject),
          text,
          html,
          headers: { 'Auto-Submitted': 'auto-generated' },
          disableFileAccess: true,
          disableUrlAccess: true,
          signal,
        });
        return { ok: true };
      } catch (error) {
        return { ok: false, ...outcomeOf(progress, error) };
      } finally {
        patience?.removeEventListener('abort', hurry);
      }
    },
  };
}

/** The time-outs of nodemailer stand behind those of the connection's clock: they must never be the first. */
function transportOptions({ server, maxConnections, times }: MailerOptions) {
  const longestMs = Math.max(...Object.values(times));
  const setUpMs = times.connect + times.greeting + 8 * times.command;
  return {
    host: server.host,
    port: server.port,
    secure: server.secure,
    requireTLS: server.tls === 'required' && !server.secure,
    ignoreTLS: server.tls === 'none',
    opportunisticTLS: server.tls === 'opportunistic',
    // Said here, because NODE_TLS_REJECT_UNAUTHORIZED=0, set for something else, would trust whoever answers.
    ...(server.tls === 'required' ? { tls: { rejectUnauthorized: true } } : {}),
    ...(server.auth ? { auth: server.auth } : {}),
    pool: true as const,
    maxConnections,
    // Both bounds are safe to cross to another connection: nodemailer requeues only what no server has seen a byte of.
    maxRequeues: 2,
    maxMessages: 1_000,
    connectionTimeout: setUpMs + 60_000,
    greetingTimeout: Math.max(times.greeting, times.command) + 30_000,
    socketTimeout: longestMs + 60_000,
    socketCloseTimeout: 500,
  };
}

/** `dlv_…@example.com`: derived from the delivery alone. */
export function messageIdOf(deliveryId: string, { domain }: Pick<MailFrom, 'domain'>): string {
  return `${deliveryId}@${domain}`;
}

function outcomeOf(
  progress: SendProgress,
  error: unknown,
): { error: unknown; begun: boolean; inDoubt: boolean } {
  const { responseCode } = error as { responseCode?: unknown };
  const refused = typeof responseCode === 'number' && responseCode >= 400;
  const silentAt = progress.silentAt();
  return {
    error: silentAt === undefined || refused ? error : new SmtpTimeoutError(silentAt, { cause: error }),
    begun: progress.begun(),
    inDoubt: progress.contentGiven() && !refused,
  };
}
