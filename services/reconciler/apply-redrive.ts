import { setTimeout as wait } from 'node:timers/promises';
import { markVerdictsApplied, recordVerdicts } from '../database/queries/dead-letters.ts';
import {
  markDeadLettered,
  type RedriveAudit,
  recordRedrives,
  resetRetryBudgets,
} from '../database/queries/reconciler-gifts.ts';
import { newUuid, toUuid } from '../domain/ids.ts';
import type { RedriveResult } from '../queue/redrive.ts';
import { heldByCircuit } from './built-in-rules.ts';
import { subjectIdsOf } from './letter-subjects.ts';
import { pageSize, pagesOf } from './pages.ts';
import { createRateLimit } from './rate-limit.ts';
import { type LetterResult, type Run, stopped } from './run.ts';
import type { Judgement } from './seen-letter.ts';
import { scopeOf, toVerdictRow } from './verdict-rows.ts';

/**
 * Sends messages back to their queue at the policy's rate. Per page, one transaction records the intentions and gives
 * the retry budgets back, before anything is sent; then each batch is sent, deleted, marked and audited. The next page is
 * prepared while one is being sent, so that Postgres and SQS do not wait for each other.
 */
export async function applyRedrives(run: Run, judgements: readonly Judgement[]): Promise<LetterResult[]> {
  const rate = createRateLimit(run.policy.limits.ratePerSecond, () => performance.now());
  const results: LetterResult[] = [];
  // At a low rate a page is small too: what was recorded should not wait for minutes until it is sent.
  const perPage = Math.min(pageSize, Math.max(10, 2 * run.policy.limits.ratePerSecond));
  const pages = [...pagesOf(judgements, perPage)];
  let preparing = prepare(run, pages[0]);
  for (const [index, page] of pages.entries()) {
    const revived = await preparing;
    if (revived === null) results.push(...page.map(stopped));
    else if (await run.circuit.opens(run.clock())) results.push(...(await holdBack(run, page)));
    else {
      preparing = prepare(run, pages[index + 1]);
      results.push(...(await redrivePage(run, { page, revived }, rate)));
    }
  }
  return results;
}

/** A page that may be sent, with the gifts that wait in the queue again, and since when. */
type Prepared = { page: Judgement[]; revived: Revived };
type Revived = ReadonlyMap<string, Date>;

/** Null when the page may not be sent. Its failure is met where it is awaited, one page later. */
function prepare(run: Run, page: Judgement[] | undefined): Promise<Revived | null> {
  const prepared = recordIntentions(run, page ?? []);
  prepared.catch(() => undefined);
  return prepared;
}

async function recordIntentions(run: Run, page: Judgement[]): Promise<Revived | null> {
  if (page.length === 0 || run.stop.aborted || !(await run.lease.confirm())) return null;
  return run.db.transaction().execute(async (trx) => {
    // A probe is sent to learn about the others: should it die, that is not its fault.
    const isProbe = run.circuit.circuit.state !== 'closed';
    const rows = page.map((judgement) => toVerdictRow(judgement, isProbe));
    await recordVerdicts(trx, rows, scopeOf(run));
    return resetRetryBudgets(trx, subjectIdsOf(page));
  });
}

async function redrivePage(
  run: Run,
  { page, revived }: Prepared,
  rate: ReturnType<typeof createRateLimit>,
): Promise<LetterResult[]> {
  const results: LetterResult[] = [];
  for (const batch of pagesOf(page, Math.min(rate.burst, pageSize))) {
    const isOurs = await isOurTurn(run, rate.take(batch.length));
    results.push(...(isOurs ? await redriveBatch(run, { page: batch, revived }) : batch.map(stopped)));
  }
  return results;
}

/** Waits for the rate limit and makes sure, right before sending, that nobody else has taken over. */
async function isOurTurn(run: Run, waitMs: number): Promise<boolean> {
  if (waitMs > 0) await wait(waitMs, undefined, { signal: run.stop }).catch(() => undefined);
  return !run.stop.aborted && (await run.lease.confirm()) && run.lease.isValid();
}

async function redriveBatch(run: Run, { page: batch, revived }: Prepared): Promise<LetterResult[]> {
  const messages = batch.map(({ letter }) => letter.message);
  const sent = await run.letters.redrive(messages, run.queue.sourceUrl);
  const results = batch.map((judgement, index) => toResult(judgement, sent[index]));
  const gone = results.filter(({ outcome }) => outcome === 'applied');
  const ids = gone.map(({ letter }) => letter.message.messageId);
  await run.db.transaction().execute(async (trx) => {
    await markVerdictsApplied(trx, run.policy.queue, ids, run.clock());
    await recordRedrives(
      trx,
      gone.flatMap((result) => toAudit(result, revived)),
    );
  });
  return results;
}

/** Sent but not deleted counts as applied: the next run sees that only the delete is missing, and does not send again. */
function toResult(judgement: Judgement, result: RedriveResult | undefined): LetterResult {
  switch (result?.kind) {
    case 'redriven':
      return { ...judgement, outcome: 'applied' };
    case 'sent-not-deleted':
      return { ...judgement, outcome: 'applied', detail: `sent, not deleted: ${result.reason}` };
    default:
      return { ...judgement, outcome: 'failed', detail: result?.reason ?? 'Unconfirmed' };
  }
}

/** Too many came back while the run was going on. */
async function holdBack(run: Run, page: Judgement[]): Promise<LetterResult[]> {
  const held = page.map((judgement) => ({ ...judgement, ...heldByCircuit('open') }));
  await run.db.transaction().execute(async (trx) => {
    await recordVerdicts(
      trx,
      held.map((judgement) => toVerdictRow(judgement)),
      scopeOf(run),
    );
    await markDeadLettered(trx, subjectIdsOf(held));
  });
  await run.letters.release(held.map(({ letter }) => letter.message));
  return held.map((judgement) => ({ ...judgement, outcome: 'waits' }));
}

/** Dated before the send: a worker may be faster than this transaction, and the story should read in order. */
function toAudit({ letter, rule }: LetterResult, revived: Revived): RedriveAudit[] {
  if (letter.content === null) return [];
  const gift_id = toUuid(letter.content.id);
  const at = revived.get(gift_id);
  if (at === undefined) return [];
  const { requestId: request_id, redrives } = letter;
  return [{ audit_id: newUuid(), gift_id, request_id, rule, redrive: redrives + 1, at: at.toISOString() }];
}
