import { type DeliveryId, type GiftId, toUuid } from '../domain/ids.ts';
import type { Message } from '../domain/messages.ts';
import type { Judgement } from './seen-letter.ts';

/** uuids of the gifts and deliveries that these messages ask for, each once. */
export function subjectIdsOf(
  judgements: readonly Pick<Judgement, 'letter'>[],
  type?: Message['type'],
): string[] {
  const ids = judgements.flatMap(({ letter: { content } }) =>
    content !== null && (type === undefined || content.type === type) ? [toUuid(content.id)] : [],
  );
  return [...new Set(ids)];
}

/** uuid of the gift or delivery that a message key names: `delivery.send:dlv_…`. */
export function subjectIdIn(key: string): string {
  return toUuid(key.slice(key.indexOf(':') + 1) as GiftId | DeliveryId);
}
