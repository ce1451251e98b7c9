/**
 * Shows that every hot statement touches about as many pages with millions of gifts as with a few thousand.
 *
 *   node test/bench/explain.ts            1,000,000 gifts
 *   GIFTS=10000000 node test/bench/explain.ts
 *
 * The product's own functions run in a transaction that is rolled back; each of their statements is explained with
 * ANALYZE first, on a small table and then on the large one. Pages are counted, not time: they are the same on every
 * machine. PostgreSQL counts them per table and index: a plan leaves out triggers, foreign keys and what a CTE writes that
 * nobody reads.
 */
import { createDatabase } from '../../services/database/client.ts';
import { migrate } from '../../services/database/migrate.ts';
import { type FundedSender, fundedSender } from '../support/gifts.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { type Cost, type Explaining, explainingDatabase } from './explaining.ts';
import { growGifts } from './grow-gifts.ts';
import { hotStatements } from './hot-statements.ts';

export async function run(): Promise<void> {
  const large = Number(process.env['GIFTS'] ?? 1_000_000);
  const small = 10_000;
  const server = await startPostgres();
  const { pool } = createDatabase({
    connectionString: server.url,
    poolMax: 1,
    applicationName: 'largesse-explain',
    statementTimeoutMs: 3_600_000,
  });
  const explaining = explainingDatabase(pool);
  const { db } = explaining;
  try {
    await migrate(db);
    const sender = await fundedSender(db, 1_000_000_000);
    await growGifts(db, sender, 0, small);
    const before = await explainAll(explaining, sender);
    await growGifts(db, sender, small, large);
    print(before, await explainAll(explaining, sender), small, large);
  } finally {
    await db.destroy();
    await server.stop();
  }
}

async function explainAll({ db, explain }: Explaining, sender: FundedSender): Promise<Map<string, Cost>> {
  const costs = new Map<string, Cost>();
  for (const [name, runStatement] of hotStatements(sender)) {
    const cost = await explain(async () => {
      const rolledBack = db.transaction().execute(async (trx) => {
        await runStatement(trx);
        throw new RolledBack();
      });
      await rolledBack.catch((error: unknown) => {
        if (!(error instanceof RolledBack)) throw error;
      });
    });
    costs.set(name, cost);
  }
  return costs;
}

function print(before: Map<string, Cost>, after: Map<string, Cost>, small: number, large: number): void {
  const rows = [...after].map(([statement, cost]) => {
    const first = before.get(statement)?.pages ?? 0;
    return {
      statement,
      [`pages at ${small}`]: first,
      [`pages at ${large}`]: cost.pages,
      ratio: Number((cost.pages / Math.max(1, first)).toFixed(2)),
      'sequential scans': cost.scanned.join(' ') || 'none',
    };
  });
  console.table(rows);
}

class RolledBack extends Error {}

if (import.meta.main) await run();
