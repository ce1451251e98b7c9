import { isProvenRefusal } from '../database/errors.ts';
import type { DeliveryWork } from '../domain/deliveries/delivery-work.ts';
import { classifyFailure } from '../domain/failure-classes.ts';
import { claimToken, claimUrl } from '../domain/gifts/claim-token.ts';
import { giftMail } from '../domain/notifications/gift-mails.ts';
import type { Keyring } from '../domain/recipients/keyring.ts';
import type { Recipient } from '../domain/recipients/recipient.ts';
import { inSpan, recordError } from '../observability/tracing.ts';
import type { MailFrom } from '../runtime/mail-from.ts';
import { type Departures, MailWithheldError } from './departures.ts';
import { type Mailer, messageIdOf, type OutgoingMail, type SendResult } from './mailer.ts';
import type { AttemptResult, Evidence, Overtaken } from './verdict.ts';

export type AttemptDeps = {
  keyring: Keyring;
  mailer: Mailer;
  departures: Departures;
  publicUrl: string;
  mailFrom: MailFrom;
  /** how long a mail may wait for a connection, which it may have to open */
  connectionWaitMs: number;
  /** aborted when the process is asked to stop */
  stopping: AbortSignal;
  /** told of every mail, once */
  onMail: (outcome: 'sent' | 'failed' | 'in_doubt' | 'not_begun') => void;
};

/**
 * One attempt at one claimed delivery; never rejects. Nothing of the database is held: the claim is committed, and the
 * outcome is recorded afterwards. A wallet gift needs no mail: it is delivered by its claim being open.
 */
export async function attemptDelivery(
  deps: AttemptDeps,
  work: DeliveryWork,
  /** `revoked`: aborted when consumption is paused; it ends what has not begun */
  signals: { signal: AbortSignal; revoked: AbortSignal },
): Promise<AttemptResult | Overtaken> {
  try {
    const recipient = work.openRecipient();
    if (recipient.kind === 'wallet') return { kind: 'sent', mailed: false };
    const mail = composeMail(deps, work, recipient);
    return toAttempt(deps, await sendMail(deps, work, mail, signals), signals.revoked);
  } catch (error) {
    // Opening or composing failed, so nothing has left.
    const failure = classifyFailure(error);
    return { kind: 'failed', failure, inDoubt: false, mailed: false, evidence: { error } };
  }
}

function composeMail(
  deps: AttemptDeps,
  work: DeliveryWork,
  recipient: Extract<Recipient, { kind: 'email' }>,
): OutgoingMail {
  const token = claimToken(deps.keyring, work.giftId, work.claimVersion);
  return {
    to: recipient.email,
    messageId: messageIdOf(work.deliveryId, deps.mailFrom),
    ...giftMail(work.purpose, {
      senderName: recipient.senderName ?? work.senderName,
      value: work.value,
      message: recipient.message,
      claimUrl: claimUrl(deps.publicUrl, token),
      expiresAt: work.expiresAt,
    }),
  };
}

async function sendMail(
  deps: AttemptDeps,
  work: DeliveryWork,
  mail: OutgoingMail,
  { signal, revoked }: { signal: AbortSignal; revoked: AbortSignal },
): Promise<SendResult> {
  const patience = AbortSignal.any([revoked, AbortSignal.timeout(deps.connectionWaitMs)]);
  const attributes = {
    'network.protocol.name': 'smtp',
    'largesse.gift.id': work.giftId,
    'largesse.delivery.id': work.deliveryId,
    'largesse.delivery.purpose': work.purpose,
    'largesse.delivery.attempt': work.attempt,
  };
  return await inSpan('send mail', { kind: 'client', attributes }, async (span) => {
    const result = await deps.mailer.send(mail, signal, {
      patience,
      mayLeave: () => deps.departures.allow(work),
    });
    // The class only: the server's words quote the address.
    if (!result.ok) recordError(span, new Error(classifyFailure(result.error).code));
    return result;
  });
}

function toAttempt(deps: AttemptDeps, result: SendResult, revoked: AbortSignal): AttemptResult | Overtaken {
  if (!result.ok && result.error instanceof MailWithheldError) {
    deps.onMail('not_begun');
    return withheld(result.error);
  }
  deps.onMail(result.ok ? 'sent' : result.inDoubt ? 'in_doubt' : result.begun ? 'failed' : 'not_begun');
  if (result.ok) return { kind: 'sent', mailed: true };
  const { error, begun, inDoubt } = result;
  if (!begun && deps.stopping.aborted) return { kind: 'interrupted', reason: 'shutdown' };
  // It was stopped while it waited for a free connection: that says something about the server, nothing about the mail.
  if (!begun && isAbort(error)) {
    return { kind: 'interrupted', reason: revoked.aborted ? 'paused' : 'mail_busy' };
  }
  return {
    kind: 'failed',
    failure: classifyFailure(error),
    inDoubt,
    mailed: true,
    evidence: evidenceOf(error),
  };
}

function withheld({ why, cause }: MailWithheldError): AttemptResult | Overtaken {
  if (why === 'overtaken') return { kind: 'overtaken' };
  // Of a database that is away nothing is to be learned about this delivery; of a refusal of its row there is.
  return isProvenRefusal(cause)
    ? {
        kind: 'failed',
        failure: classifyFailure(cause),
        inDoubt: false,
        mailed: false,
        evidence: { error: cause },
      }
    : { kind: 'interrupted', reason: 'unmarked', evidence: { error: cause } };
}

/** Only the code: a mail server's words, which are in the message, quote the recipient. */
function evidenceOf(error: unknown): Evidence {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? { mail_code: code } : {};
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
