import { recordVerdicts } from '../database/queries/dead-letters.ts';
import { markDeadLettered } from '../database/queries/reconciler-gifts.ts';
import { applyQuarantines } from './apply-quarantine.ts';
import { applyRedrives } from './apply-redrive.ts';
import { deletePage } from './delete-page.ts';
import { subjectIdsOf } from './letter-subjects.ts';
import { pageSize, pagesOf } from './pages.ts';
import { type LetterResult, type Run, stopped } from './run.ts';
import type { Judgement } from './seen-letter.ts';
import { scopeOf, toVerdictRow } from './verdict-rows.ts';

/**
 * Carries judgements out: what waits is given back first, redrives, which take their time, come last. Every verdict is
 * recorded before it is carried out and marked after it, so that a run which dies is continued by the next.
 */
export async function apply(run: Run, judgements: readonly Judgement[]): Promise<LetterResult[]> {
  const of = (wanted: (judgement: Judgement) => boolean) => judgements.filter(wanted);
  return [
    ...(await inPages(
      run,
      of(({ verdict }) => verdict === 'wait'),
      keepWaiting,
    )),
    ...(await inPages(
      run,
      of(({ deleteOnly }) => deleteOnly),
      deletePage,
    )),
    ...(await inPages(
      run,
      of(({ verdict, deleteOnly }) => verdict === 'discard' && !deleteOnly),
      discard,
    )),
    ...(await inPages(
      run,
      of(({ verdict, deleteOnly }) => verdict === 'quarantine' && !deleteOnly),
      applyQuarantines,
    )),
    ...(await applyRedrives(
      run,
      of(({ verdict, deleteOnly }) => verdict === 'redrive' && !deleteOnly),
    )),
  ];
}

/** Page by page, for as long as the lease is ours. */
async function inPages(
  run: Run,
  judgements: readonly Judgement[],
  applyPage: (run: Run, page: Judgement[]) => Promise<LetterResult[]>,
): Promise<LetterResult[]> {
  const results: LetterResult[] = [];
  for (const page of pagesOf(judgements, pageSize)) {
    const mayGoOn = !run.stop.aborted && (await run.lease.confirm());
    results.push(...(mayGoOn ? await applyPage(run, page) : page.map(stopped)));
  }
  return results;
}

async function keepWaiting(run: Run, page: Judgement[]): Promise<LetterResult[]> {
  await run.db.transaction().execute(async (trx) => {
    await recordVerdicts(
      trx,
      page.map((judgement) => toVerdictRow(judgement)),
      scopeOf(run),
    );
    await markDeadLettered(trx, subjectIdsOf(page));
  });
  await run.letters.release(page.map(({ letter }) => letter.message));
  return page.map((judgement) => ({ ...judgement, outcome: 'waits' }));
}

async function discard(run: Run, page: Judgement[]): Promise<LetterResult[]> {
  await run.db.transaction().execute((trx) =>
    recordVerdicts(
      trx,
      page.map((judgement) => toVerdictRow(judgement)),
      scopeOf(run),
    ),
  );
  return deletePage(run, page);
}
