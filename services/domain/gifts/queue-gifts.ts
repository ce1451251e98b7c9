import type { Transaction } from 'kysely';
import {
  type DueGift,
  lockScheduledGifts,
  queueLockedDeliveries,
  queueLockedGifts,
} from '../../database/queries/due-gifts.ts';
import {
  lockStrandedDeliveries,
  lockStrandedGifts,
  lockStrandedRepeats,
  type StrandedAge,
} from '../../database/queries/stranded.ts';
import type { Database } from '../../database/schema.ts';
import type { ActorKind } from '../../database/states.ts';
import { fromUuid, type GiftId, newUuid, toUuid } from '../ids.ts';
import type { OutboxWriter } from '../outbox.ts';
import { refusedFor } from './due-gifts-refused.ts';

/** Queues at most `limit` scheduled gifts whose time has come; several processes may do so at once. @returns how many */
export async function queueScheduledGifts(
  trx: Transaction<Database>,
  deps: { outbox: OutboxWriter },
  limit: number,
  except: readonly GiftId[] = [],
): Promise<number> {
  const spared = except.map((id) => toUuid(id));
  return await queueGifts(trx, deps, await lockScheduledGifts(trx, limit, spared), {
    actorKind: 'schedule',
    reason: 'deliver_at has come',
  });
}

/**
 * Queues at most `limit` gifts, and as many resends, reminders and repeats of mails in doubt, again whose message no longer exists: purged,
 * expired, or lost with its queue. A message that does exist after all becomes a harmless repeat.
 */
export async function requeueStranded(
  trx: Transaction<Database>,
  deps: { outbox: OutboxWriter },
  age: StrandedAge,
  limit: number,
): Promise<{ gifts: number; deliveries: number }> {
  const gifts = await queueGifts(trx, deps, await lockStrandedGifts(trx, age, limit), {
    actorKind: 'reconciler',
    reason: 'its message no longer existed',
  });
  return { gifts, deliveries: await requeueDeliveries(trx, deps, age, limit) };
}

async function queueGifts(
  trx: Transaction<Database>,
  deps: { outbox: OutboxWriter },
  due: DueGift[],
  by: { actorKind: ActorKind; reason: string },
): Promise<number> {
  if (due.length === 0) return 0;
  const input = due.map((gift) => ({
    gift_id: gift.id,
    audit_id: newUuid(),
    request_id: gift.request_id,
    ...deps.outbox.row({ type: 'gift.deliver', version: 1, id: fromUuid('gft', gift.id) }, groupOf(gift)),
  }));
  await queueLockedGifts(trx, input, by).catch(refusedFor(due));
  return due.length;
}

async function requeueDeliveries(
  trx: Transaction<Database>,
  deps: { outbox: OutboxWriter },
  age: StrandedAge,
  limit: number,
): Promise<number> {
  const sends = await lockStrandedDeliveries(trx, age, limit);
  const repeats = sends.length < limit ? await lockStrandedRepeats(trx, age, limit - sends.length) : [];
  if (sends.length + repeats.length === 0) return 0;
  await queueLockedDeliveries(trx, [
    ...sends.map((delivery) => ({
      delivery_id: delivery.id,
      ...deps.outbox.row(
        { type: 'delivery.send', version: 1, id: fromUuid('dlv', delivery.id) },
        groupOf(delivery),
      ),
    })),
    ...repeats.map((delivery) => ({
      delivery_id: delivery.id,
      ...deps.outbox.row(
        { type: 'gift.deliver', version: 1, id: fromUuid('gft', delivery.gift_id) },
        groupOf(delivery),
      ),
    })),
  ]);
  return sends.length + repeats.length;
}

function groupOf(gift: Pick<DueGift, 'sender_id' | 'request_id'>) {
  return { groupId: fromUuid('sen', gift.sender_id), requestId: gift.request_id };
}
