import type { Transaction } from 'kysely';
import { insertReminders, lockGiftsToRemind } from '../../database/queries/due-gifts.ts';
import type { Database } from '../../database/schema.ts';
import { fromUuid, type GiftId, newUuid, toUuid } from '../ids.ts';
import type { OutboxWriter } from '../outbox.ts';
import { refusedFor } from './due-gifts-refused.ts';

/**
 * Queues a reminder for at most `limit` delivered, unclaimed gifts that expire soon and have had half of their time;
 * several processes may do so at once, and each gift gets one reminder in its life. @returns how many
 */
export async function remindGifts(
  trx: Transaction<Database>,
  deps: { outbox: OutboxWriter },
  options: { remindBeforeSeconds: number; limit: number; except?: readonly GiftId[] },
): Promise<number> {
  const spared = (options.except ?? []).map((id) => toUuid(id));
  const due = await lockGiftsToRemind(trx, options.remindBeforeSeconds, options.limit, spared);
  if (due.length === 0) return 0;
  const input = due.map((gift) => {
    const deliveryId = newUuid();
    const message = { type: 'delivery.send', version: 1, id: fromUuid('dlv', deliveryId) } as const;
    const group = { groupId: fromUuid('sen', gift.sender_id), requestId: gift.request_id };
    return {
      gift_id: gift.id,
      delivery_id: deliveryId,
      audit_id: newUuid(),
      request_id: gift.request_id,
      ...deps.outbox.row(message, group),
    };
  });
  await insertReminders(trx, input).catch(refusedFor(due));
  return due.length;
}
