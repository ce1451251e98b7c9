import type { GiftDraft } from '../../../domain/gifts/prepare-gift.ts';
import type { Recipient } from '../../../domain/recipients/recipient.ts';
import type { Principal } from '../../../domain/senders/api-key.ts';
import { invalid } from '../../middleware/validate.ts';
import type { FieldError, Problem } from '../../problem.ts';
import type { GiftRequest } from './gift-request.ts';

/** The request in the domain's words. */
export function toGiftDraft(
  request: GiftRequest,
  { principal, requestId }: { principal: Principal; requestId: string },
): GiftDraft {
  const { deliverAt, expiresAt } = timesOf(request);
  return {
    senderId: principal.senderId,
    apiKeyId: principal.apiKeyId,
    value: request.value,
    recipient: toRecipient(request),
    binding: request.binding,
    deliverAt: deliverAt && writable(deliverAt),
    expiresAt: expiresAt && writable(expiresAt),
    acceptable: acceptableTimes({ deliverAt, expiresAt }),
    externalId: request.external_id ?? null,
    metadata: request.metadata,
    requestId,
  };
}

/**
 * What is wrong with the times of a request at a moment, or null. The moment is the database's: what one process refuses,
 * no other may accept, whatever their clocks say. `acceptableTimes` says the same as bounds.
 */
export function timeProblem(request: GiftRequest, now: Date): Problem | null {
  const times = { ...timesOf(request), now };
  const errors = timeRules.map((rule) => rule(times)).filter((error) => error !== null);
  return errors.length > 0 ? invalid(errors) : null;
}

function timesOf(request: GiftRequest): Omit<Times, 'now'> {
  return {
    deliverAt: request.deliver_at === undefined ? null : new Date(request.deliver_at),
    expiresAt: request.expires_at === undefined ? null : new Date(request.expires_at),
  };
}

type Times = { now: Date; deliverAt: Date | null; expiresAt: Date | null };

const minuteMs = 60_000;
const yearMs = 366 * 24 * 60 * minuteMs;
/** A gift that expires while its mail is still on the way helps nobody. */
const shortestLifeMs = 10 * minuteMs;

const timeRules: ((times: Times) => FieldError | null)[] = [
  ({ now, deliverAt }) =>
    deliverAt && deliverAt <= now ? { pointer: '/deliver_at', detail: 'must be in the future' } : null,
  ({ now, deliverAt }) =>
    deliverAt && deliverAt.getTime() - now.getTime() > yearMs
      ? { pointer: '/deliver_at', detail: 'must be within a year' }
      : null,
  ({ now, deliverAt, expiresAt }) =>
    expiresAt && expiresAt.getTime() - (deliverAt ?? now).getTime() < shortestLifeMs
      ? { pointer: '/expires_at', detail: 'must be at least 10 minutes after the delivery' }
      : null,
  ({ now, expiresAt }) =>
    expiresAt && expiresAt.getTime() - now.getTime() > 10 * yearMs
      ? { pointer: '/expires_at', detail: 'must be within ten years' }
      : null,
];

/** When no rule above refuses: from the first moment on, and before the second. */
function acceptableTimes({ deliverAt, expiresAt }: Omit<Times, 'now'>): GiftDraft['acceptable'] {
  const neverMs = 0;
  const tooShort = deliverAt && expiresAt && expiresAt.getTime() - deliverAt.getTime() < shortestLifeMs;
  const untilMs = deliverAt?.getTime() ?? (expiresAt && expiresAt.getTime() - shortestLifeMs + 1);
  const fromMs = [deliverAt && deliverAt.getTime() - yearMs, expiresAt && expiresAt.getTime() - 10 * yearMs];
  const known = fromMs.filter((ms) => ms !== null);
  return {
    from: known.length > 0 ? writable(new Date(Math.max(...known))) : null,
    until: untilMs === null ? null : writable(new Date(tooShort ? neverMs : untilMs)),
  };
}

/**
 * A time that the database can read: it has no year 0, and an offset leads from 9999 into 10000, which RFC 3339 can not write.
 * Nothing so far away is ever accepted, so the nearest will do.
 */
function writable(time: Date): Date {
  return new Date(Math.min(Math.max(time.getTime(), Date.UTC(2000)), Date.UTC(9999)));
}

function toRecipient({ recipient, message, sender_name: senderName }: GiftRequest): Recipient {
  const words = {
    ...(message === undefined ? {} : { message }),
    ...(senderName === undefined ? {} : { senderName }),
  };
  return recipient.type === 'email'
    ? { kind: 'email', email: recipient.email, ...words }
    : { kind: 'wallet', address: recipient.address, chainId: recipient.chain_id, ...words };
}
