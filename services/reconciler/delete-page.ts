import { markVerdictsApplied } from '../database/queries/dead-letters.ts';
import type { LetterResult, Run } from './run.ts';
import type { Judgement } from './seen-letter.ts';

/** Deletes messages whose verdict is recorded, and marks it applied where the delete succeeded. */
export async function deletePage(run: Run, page: Judgement[]): Promise<LetterResult[]> {
  const deleted = await run.letters.deleteMessages(page.map(({ letter }) => letter.message));
  const results = page.map((judgement, index): LetterResult => {
    const result = deleted[index];
    return result?.ok === true
      ? { ...judgement, outcome: 'applied' }
      : { ...judgement, outcome: 'failed', detail: result?.reason ?? 'Unconfirmed' };
  });
  const done = results.filter(({ outcome }) => outcome === 'applied');
  const ids = done.map(({ letter }) => letter.message.messageId);
  await markVerdictsApplied(run.db, run.policy.queue, ids, run.clock());
  return results;
}
