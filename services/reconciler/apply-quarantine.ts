import type { Transaction } from 'kysely';
import { recordVerdicts } from '../database/queries/dead-letters.ts';
import { failDeliveries, lockUnleasedGifts } from '../database/queries/reconciler-gifts.ts';
import type { Database } from '../database/schema.ts';
import { failGifts } from '../domain/gifts/end-gifts.ts';
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
    await recordVerdicts(trx, quarantined.map(toVerdictRow), scopeOf(run));
    await failGiftsOf(trx, quarantined);
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

/** One statement per class and code: there are few, and each gift keeps the code of its own failure. */
async function failGiftsOf(trx: Transaction<Database>, judgements: readonly Judgement[]): Promise<void> {
  const gifts = judgements.filter(({ letter }) => letter.content?.type === 'gift.deliver');
  const byFailure = Map.groupBy(
    gifts,
    ({ letter }) => `${letter.class} ${letter.failureCode ?? 'undeliverable'}`,
  );
  for (const group of byFailure.values()) {
    const [first] = group;
    if (first === undefined) continue;
    const ids = subjectIdsOf(group).map((uuid) => fromUuid('gft', uuid));
    const failure = { class: first.letter.class, code: first.letter.failureCode ?? 'undeliverable' };
    await failGifts(trx, ids, { kind: 'reconciler', id: null, requestId: null }, failure);
  }
}
