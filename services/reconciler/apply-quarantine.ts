import { recordVerdicts } from '../database/queries/dead-letters.ts';
import { failDeliveries, lockUnleasedGifts } from '../database/queries/reconciler-gifts.ts';
import { failGifts, type GiftFailure } from '../domain/gifts/end-gifts.ts';
import { fromUuid, toUuid } from '../domain/ids.ts';
import { deletePage } from './delete-page.ts';
import { subjectIdsOf } from './letter-subjects.ts';
import type { LetterResult, Run } from './run.ts';
import type { Judgement } from './seen-letter.ts';
import { scopeOf, toVerdictRow } from './verdict-rows.ts';

/**
 * Keeps the messages in Postgres, fails their gifts and gives the money back, all in one transaction; then deletes the
 * messages. A gift that a worker took up meanwhile keeps its message for the next run.
 */
export async function applyQuarantines(run: Run, page: Judgement[]): Promise<LetterResult[]> {
  const parked = await run.db.transaction().execute(async (trx) => {
    const failable = await lockUnleasedGifts(trx, subjectIdsOf(page, 'gift.deliver'));
    const quarantined = page.filter((judgement) => !isWithWorker(judgement, failable));
    await recordVerdicts(
      trx,
      quarantined.map((judgement) => toVerdictRow(judgement)),
      scopeOf(run),
    );
    await failGifts(trx, toFailures(quarantined), { kind: 'reconciler', id: null, requestId: null });
    await failDeliveries(trx, subjectIdsOf(quarantined, 'delivery.send'));
    return new Set(quarantined);
  });
  const busy = page.filter((judgement) => !parked.has(judgement));
  await run.letters.release(busy.map(({ letter }) => letter.message));
  return [
    ...(await deletePage(run, [...parked])),
    ...busy.map(
      (judgement): LetterResult => ({
        ...judgement,
        verdict: 'wait',
        rule: 'in-delivery',
        why: 'a worker took up its gift',
        outcome: 'waits',
      }),
    ),
  ];
}

/** Its gift exists and could not be locked for failing. */
function isWithWorker({ letter }: Judgement, failable: ReadonlySet<string>): boolean {
  if (letter.content?.type !== 'gift.deliver' || letter.giftId === null) return false;
  return !failable.has(toUuid(letter.content.id));
}

/** Each gift keeps the code of its own failure. */
function toFailures(judgements: readonly Judgement[]): GiftFailure[] {
  return judgements.flatMap(({ letter }) => {
    if (letter.content?.type !== 'gift.deliver') return [];
    const id = fromUuid('gft', toUuid(letter.content.id));
    return [{ id, class: letter.class, code: letter.failureCode ?? 'undeliverable' }];
  });
}
