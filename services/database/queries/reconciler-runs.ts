import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';

const keptDays = 90;

/**
 * Opens a run. A run that is still open belongs to a process that died: the lease allows only one at a time. Runs of
 * 90 days ago are forgotten: one a minute adds up, and each scrape of the metrics asks for the last.
 */
export async function startRun(
  db: Kysely<Database>,
  run: { id: string; queue: string; dryRun: boolean; startedAt: Date },
): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await trx
      .updateTable('reconciler_runs')
      .set({ outcome: 'interrupted', finished_at: run.startedAt })
      .where('queue', '=', run.queue)
      .where('outcome', '=', 'running')
      .execute();
    await sql`
      delete from reconciler_runs where queue = ${run.queue}
        and started_at < ${run.startedAt}::timestamptz - make_interval(days => ${keptDays}::integer)`.execute(
      trx,
    );
    await trx
      .insertInto('reconciler_runs')
      .values({
        id: run.id,
        queue: run.queue,
        dry_run: run.dryRun,
        counts: '{}',
        started_at: run.startedAt,
        finished_at: null,
      })
      .execute();
  });
}

export async function finishRun(
  db: Kysely<Database>,
  run: { id: string; outcome: string; counts: Record<string, number>; finishedAt: Date },
): Promise<void> {
  await db
    .updateTable('reconciler_runs')
    .set({ outcome: run.outcome, counts: JSON.stringify(run.counts), finished_at: run.finishedAt })
    .where('id', '=', run.id)
    .execute();
}

/** The counts of the last real run of a queue that came to its end. */
export async function lastRunCounts(
  db: Kysely<Database>,
  queue: string,
): Promise<Record<string, number> | null> {
  const run = await db
    .selectFrom('reconciler_runs')
    .select('counts')
    .where('queue', '=', queue)
    .where('dry_run', '=', false)
    .where('finished_at', 'is not', null)
    .where('outcome', '<>', 'interrupted')
    .orderBy('started_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  return run?.counts ?? null;
}

export type LastRun = { queue: string; counts: Record<string, number>; started_at: Date; finished_at: Date };

/**
 * The last real run of each queue that came to its end. Queues are found one after the other by the end of the index: with
 * DISTINCT ON, each scrape of each process read every run of ninety days (a run a minute is 130,000).
 */
export async function readLastRuns(db: Kysely<Database>): Promise<LastRun[]> {
  const { rows } = await sql<LastRun>`
    with recursive queues as (
      select min(queue) as queue from reconciler_runs
      union all
      select (select min(r.queue) from reconciler_runs r where r.queue > queues.queue) from queues
      where queues.queue is not null
    )
    select last.* from queues cross join lateral (
      select queue, counts, started_at, finished_at from reconciler_runs r
      where r.queue = queues.queue and not dry_run and finished_at is not null and outcome <> 'interrupted'
      order by started_at desc limit 1) last
    order by last.queue`.execute(db);
  return rows;
}

/** How many messages were sent back from each dead-letter queue since the beginning; counted as it happens. */
export async function countRedriven(db: Kysely<Database>): Promise<{ queue: string; redriven: number }[]> {
  return await db.selectFrom('redrive_totals').select(['queue', 'redriven']).execute();
}
