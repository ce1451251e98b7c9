import type { Transaction } from 'kysely';
import { lockGiftRow } from '../../database/queries/gifts.ts';
import { insertResend, type ResendHistory, readResendHistory } from '../../database/queries/resends.ts';
import type { Database } from '../../database/schema.ts';
import { DomainError } from '../errors.ts';
import { type ApiKeyId, type GiftId, newId, newUuid, type SenderId, toUuid } from '../ids.ts';
import type { OutboxWriter } from '../outbox.ts';
import type { OutboxRow } from './accept-gifts.ts';
import { type Gift, toGift } from './gift.ts';
import { giftNotFound } from './list-gifts.ts';

export type ResendRequest = {
  senderId: SenderId;
  apiKeyId: ApiKeyId;
  giftId: GiftId;
  requestId: string | null;
};

export type ResendPolicy = { cooldownSeconds: number; limit: number };

/**
 * Sends the mail of a delivered gift once more, with the same claim link.
 * @returns the gift and the outbox row to publish after the commit
 * @throws DomainError `not_found`, `state_conflict`, `resend_too_soon`, `resend_limit_reached`
 */
export async function resendGift(
  trx: Transaction<Database>,
  deps: { outbox: OutboxWriter; policy: ResendPolicy },
  request: ResendRequest,
): Promise<{ gift: Gift; outboxRow: OutboxRow }> {
  const row = await lockGiftRow(trx, toUuid(request.giftId), toUuid(request.senderId));
  if (!row) throw giftNotFound();
  const gift = toGift(row);
  const history = await readResendHistory(trx, row.id);
  for (const rule of rules) {
    const refusal = rule(gift, history, deps.policy);
    if (refusal) throw refusal;
  }
  const deliveryId = newId('dlv');
  const outbox = deps.outbox.row(
    { type: 'delivery.send', version: 1, id: deliveryId },
    { groupId: request.senderId, requestId: request.requestId },
  );
  const id = await insertResend(
    trx,
    {
      deliveryId: toUuid(deliveryId),
      giftId: row.id,
      actorId: toUuid(request.apiKeyId),
      requestId: request.requestId,
      auditId: newUuid(),
      outbox,
    },
    deps.outbox.leaseSeconds,
  );
  const { queue, body, group_id: groupId, trace_header: traceHeader } = outbox;
  return { gift, outboxRow: { id, queue, body, groupId, traceHeader } };
}

type Rule = (gift: Gift, history: ResendHistory, policy: ResendPolicy) => DomainError | null;

const rules: Rule[] = [
  (gift) =>
    gift.state === 'delivered'
      ? null
      : new DomainError(
          'state_conflict',
          `a gift that is ${gift.state} can not be resent; only a delivered one can`,
        ),
  (gift) =>
    gift.channel === 'wallet'
      ? new DomainError('state_conflict', 'a gift to a wallet is not mailed; pass on its claim_url')
      : null,
  (_gift, history, policy) =>
    history.resends >= policy.limit
      ? new DomainError('resend_limit_reached', `a gift can be resent ${policy.limit} times`)
      : null,
  (_gift, { secondsSinceLast }, { cooldownSeconds }) =>
    secondsSinceLast !== null && secondsSinceLast < cooldownSeconds
      ? new DomainError('resend_too_soon', `wait ${cooldownSeconds} s between two mails of a gift`, {
          retryAfterSeconds: Math.ceil(cooldownSeconds - secondsSinceLast),
        })
      : null,
];
