/**
 * Shows that the ledger's invariants are read in the same time however many gifts there are, once what they did is closed,
 * and that nothing that a scrape or a turn of the timekeeper asks reads a growing table.
 *
 *   node test/bench/ledger.ts             1,000,000 gifts
 */
import { type Kysely, sql } from 'kysely';
import { createDatabase } from '../../services/database/client.ts';
import { migrate } from '../../services/database/migrate.ts';
import { readGiftsUnderWay } from '../../services/database/queries/gifts-under-way.ts';
import { readOutboxBacklog } from '../../services/database/queries/outbox.ts';
import { countRecent, readOldestAges } from '../../services/database/queries/queue-activity.ts';
import { readPauses } from '../../services/database/queries/queue-pauses.ts';
import { countRedriven, readLastRuns } from '../../services/database/queries/reconciler-runs.ts';
import type { Database } from '../../services/database/schema.ts';
import {
  closeLedger,
  ledgerSteps,
  recountBalances,
  recountLedger,
} from '../../services/domain/ledger/close-ledger.ts';
import { checkLedger } from '../../services/domain/ledger/invariants.ts';
import { fundedSender } from '../support/gifts.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { explainingDatabase } from './explaining.ts';
import { growGifts } from './grow-gifts.ts';

type Asked = [what: string, ask: (db: Kysely<Database>) => Promise<unknown>];

const inTransaction =
  (ask: (db: Kysely<Database>) => Promise<unknown>) =>
  (db: Kysely<Database>): Promise<unknown> =>
    db.transaction().execute(ask);

const restless = { ...ledgerSteps, restSeconds: 0 };

/** Those of the timekeeper that change gifts are among the statements of `npm run bench -- explain`. */
const asked: Asked[] = [
  ['scrape: invariants of the ledger', checkLedger],
  ['scrape: outbox backlog', inTransaction(readOutboxBacklog)],
  ['scrape: gifts under way', inTransaction(readGiftsUnderWay)],
  ['scrape: last runs of the reconciler', inTransaction(readLastRuns)],
  ['scrape: redrives', inTransaction(countRedriven)],
  ['queues: oldest ages', inTransaction(readOldestAges)],
  ['queues: counts of five minutes', inTransaction((db) => countRecent(db, 300))],
  ['queues: pauses', inTransaction(readPauses)],
  ['timekeeper: a step of closing', closeLedger],
  ['timekeeper: a step of the recount', (db) => recountLedger(db, restless)],
  ['timekeeper: a step of the balances', (db) => recountBalances(db, restless)],
];

const server = await startPostgres();
const { db, pool } = createDatabase({
  connectionString: server.url,
  poolMax: 2,
  applicationName: 'largesse-ledger',
  statementTimeoutMs: 3_600_000,
});
try {
  await migrate(db);
  const sender = await fundedSender(db, 1_000_000_000);
  const sizes = [10_000, Number(process.env['GIFTS'] ?? 1_000_000)];
  let grown = 0;
  for (const size of sizes) {
    await growGifts(db, sender, grown, size);
    grown = size;
    const closing = await median(1, closeAll);
    // Grown gifts are claimed and only reserved: as many findings as gifts are no ledger that anybody has.
    await sql`truncate ledger_findings`.execute(db);
    console.log(`${size} gifts, all closed in ${Math.round(closing / 1_000)} s`);
    console.table(await measure());
  }
} finally {
  await db.destroy();
  await server.stop();
}

async function measure(): Promise<object[]> {
  const explaining = explainingDatabase(pool);
  const rows: object[] = [];
  for (const [what, ask] of asked) {
    const { pages, scanned } = await explaining.explain(() => ask(explaining.db));
    rows.push({ what, ms: await median(5, () => ask(db)), pages, 'read whole': scanned.join(' ') || 'none' });
  }
  return rows;
}

/** Until a mark that is younger than the last gift is reached: the first steps only set one. */
async function closeAll(): Promise<void> {
  const steps = { ...ledgerSteps, marginSeconds: 0, shortestSeconds: 0 };
  for (let idle = 0; idle < 3; ) idle = (await closeLedger(db, steps)) ? 0 : idle + 1;
}

async function median(times: number, work: () => Promise<unknown>): Promise<number> {
  const taken: number[] = [];
  for (let time = 0; time < times; time += 1) {
    const began = performance.now();
    await work();
    taken.push(performance.now() - began);
  }
  return Number((taken.toSorted((a, b) => a - b)[Math.floor(times / 2)] ?? 0).toFixed(1));
}
