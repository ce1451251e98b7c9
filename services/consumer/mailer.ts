import { createTransport } from 'nodemailer';
import type { MailText } from '../domain/notifications/mail-text.ts';
import { type SendProgress, watchProgress } from './mail-progress.ts';

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

export type Mailer = {
  /** Never rejects. An aborted signal ends the attempt, wherever it is. */
  send: (mail: OutgoingMail, signal: AbortSignal) => Promise<SendResult>;
  /** Idle connections at once; one in the middle of a mail when it is done. */
  close: () => void;
};

export type MailerOptions = {
  url: string;
  from: string;
  maxConnections: number;
  /** bound on connecting, on the greeting and on silence; the caller's signal bounds the whole */
  timeoutMs: number;
};

/**
 * A pool of SMTP connections, opened with the first mail: a mail server that is away at start is a failed attempt later and
 * no failed start.
 *
 * SMTP delivers at least once: a server that accepts a mail and whose answer is lost has the mail, and we don't know. Hence
 * the deterministic Message-ID: a second copy is recognisable as the same mail, and its link is the same link.
 */
export function createMailer(options: MailerOptions): Mailer {
  const transport = createTransport({
    url: options.url,
    pool: true,
    maxConnections: options.maxConnections,
    // Both bounds are safe to cross to another connection: nodemailer requeues only what no server has seen a byte of.
    maxRequeues: 2,
    maxMessages: 1_000,
    connectionTimeout: Math.min(10_000, options.timeoutMs),
    greetingTimeout: Math.min(10_000, options.timeoutMs),
    dnsTimeout: Math.min(10_000, options.timeoutMs),
    socketTimeout: Math.min(30_000, options.timeoutMs),
    socketCloseTimeout: 500,
  });
  const progressOf = watchProgress(transport);
  return {
    close: () => transport.close(),
    send: async ({ to, messageId, subject, text, html }, callerSignal) => {
      // A signal of its own names this send, also when two copies of one mail are under way.
      const signal = AbortSignal.any([callerSignal]);
      const progress = progressOf(signal);
      try {
        await transport.sendMail({
          from: options.from,
          // As an object: a parser that took the address apart could find two recipients in it.
          to: { name: '', address: to },
          messageId: `<${messageId}>`,
          subject,
          text,
          html,
          headers: { 'Auto-Submitted': 'auto-generated' },
          disableFileAccess: true,
          disableUrlAccess: true,
          signal,
        });
        return { ok: true };
      } catch (error) {
        return { ok: false, error, ...outcomeOf(progress, error) };
      }
    },
  };
}

/** `dlv_…@example.com`: derived from the delivery alone. */
export function messageIdOf(deliveryId: string, from: string): string {
  const domain = from.slice(from.lastIndexOf('@') + 1).replace(/>$/, '');
  return `${deliveryId}@${domain}`;
}

function outcomeOf(progress: SendProgress, error: unknown): { begun: boolean; inDoubt: boolean } {
  const { responseCode } = error as { responseCode?: unknown };
  const refused = typeof responseCode === 'number' && responseCode >= 400;
  return { begun: progress.begun(), inDoubt: progress.contentGiven() && !refused };
}
