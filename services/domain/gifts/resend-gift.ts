import type { Kysely } from 'kysely';
import { findGiftVersion } from '../../database/queries/gifts.ts';
import { insertResend, type ResendHistory, readResendHistory } from '../../database/queries/resends.ts';
import type { Database } from '../../database/schema.ts';
import { DomainError } from '../errors.ts';
import { type ApiKeyId, type GiftId, newId, newUuid, type SenderId, toUuid } from '../ids.ts';
import { type Answer, type AskedKey, changeOnce, type Once } from '../once.ts';
import type { OutboxWriter } from '../outbox.ts';
import type { OutboxRow } from './accept-gifts.ts';
import { type Gift, toGift } from './gift.ts';
import { giftNotFound } from './list-gifts.ts';

export type ResendRequest = {
  senderId: SenderId;
  apiKeyId: ApiKeyId;
  giftId: GiftId;
  requestId: string | null;
  /** null: nobody will repeat it */
  key: AskedKey | null;
  /** what is answered, now and to every repetition */
  answerOf: (gift: Gift) => Answer;
};

export type ResendPolicy = { cooldownSeconds: number; limit: number };

export type Resend = { gift: Gift; outboxRow: OutboxRow };

/**
 * Sends the mail of a delivered gift once more, with the same claim link.
 * @returns the gift and the outbox row to publish
 * @throws DomainError `not_found`, `state_conflict`, `resend_too_soon`, `resend_limit_reached`, `unavailable`
 */
export async function resendGift(
  db: Kysely<Database>,
  deps: { outbox: OutboxWriter; policy: ResendPolicy },
  request: ResendRequest,
): Promise<Once<Resend>> {
  const { giftId, senderId, key } = request;
  return await changeOnce(db, key, {
    read: async () => {
      const row = await findGiftVersion(db, toUuid(giftId), toUuid(senderId));
      return row && { row, gift: toGift(row), history: await readResendHistory(db, row.id) };
    },
    act: async (found) => {
      if (!found) throw giftNotFound();
      for (const rule of rules) {
        const refusal = rule(found.gift, found.history, deps.policy);
        if (refusal) throw refusal;
      }
      return await insert(db, deps, request, { gift: found.gift, version: found.row.version });
    },
  });
}

async function insert(
  db: Kysely<Database>,
  deps: { outbox: OutboxWriter },
  request: ResendRequest,
  { gift, version }: { gift: Gift; version: string },
) {
  const { senderId, requestId, key } = request;
  const deliveryId = newId('dlv');
  const outbox = deps.outbox.row(
    { type: 'delivery.send', version: 1, id: deliveryId },
    { groupId: senderId, requestId },
  );
  const answer = request.answerOf(gift);
  const { outcome, outboxId } = await insertResend(
    db,
    {
      deliveryId: toUuid(deliveryId),
      giftId: toUuid(gift.id),
      actorId: toUuid(request.apiKeyId),
      requestId,
      auditId: newUuid(),
      outbox,
    },
    { claim: key && { ...key, ...answer }, version },
    deps.outbox.leaseSeconds,
  );
  const { queue, body, group_id: groupId, trace_header: traceHeader } = outbox;
  const outboxRow = { id: outboxId, queue, body, groupId, traceHeader };
  return { outcome, answer, result: { gift, outboxRow } };
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
