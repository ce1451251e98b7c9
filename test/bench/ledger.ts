/**
 * Shows that the ledger's invariants are read in the same time however many gifts there are, once what they did is closed.
 *
 *   node test/bench/ledger.ts             1,000,000 gifts
 */
import { sql } from 'kysely';
import { createDatabase } from '../../services/database/client.ts';
import { migrate } from '../../services/database/migrate.ts';
import { countRedriven } from '../../services/database/queries/reconciler-runs.ts';
import { closeLedger, ledgerSteps, recountLedger } from '../../services/domain/ledger/close-ledger.ts';
import { checkLedger } from '../../services/domain/ledger/invariants.ts';
import { fundedSender } from '../support/gifts.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { growGifts } from './grow-gifts.ts';

const server = await startPostgres();
const { db } = createDatabase({
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
    const forget = () => sql`truncate ledger_findings`.execute(db);
    await forget();
    console.log({
      gifts: size,
      'closing all, s': Math.round(closing / 1_000),
      'reading the invariants, ms': await median(5, () => checkLedger(db)),
      'a step of the recount, ms': await median(5, () => recountLedger(db)),
      'redrives, ms': await median(5, () => countRedriven(db)),
    });
  }
} finally {
  await db.destroy();
  await server.stop();
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
  return Math.round(taken.toSorted((a, b) => a - b)[Math.floor(times / 2)] ?? 0);
}
