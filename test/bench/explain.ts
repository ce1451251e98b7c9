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
import { Kysely, PostgresDialect } from 'kysely';
import type pg from 'pg';
import { createDatabase } from '../../services/database/client.ts';
import { migrate } from '../../services/database/migrate.ts';
import type { Database } from '../../services/database/schema.ts';
import { type FundedSender, fundedSender } from '../support/gifts.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { growGifts, growingTables } from './grow-gifts.ts';
import { hotStatements } from './hot-statements.ts';

type Cost = { pages: number; scanned: string[] };
type Explained = { pages: number; plan: Plan };
type Plan = { 'Node Type': string; 'Relation Name'?: string; Plans?: Plan[] } & Record<string, unknown>;

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
  const statements: Explained[] = [];
  const explained = { value: false };
  const db = new Kysely<Database>({
    dialect: new PostgresDialect({ pool: explainingPool(pool, statements, explained) }),
  });
  const measure = async (sender: FundedSender) => {
    explained.value = true;
    const costs = await explainAll(db, statements, sender);
    explained.value = false;
    return costs;
  };
  try {
    await migrate(db);
    const sender = await fundedSender(db, 1_000_000_000);
    await growGifts(db, sender, 0, small);
    const before = await measure(sender);
    await growGifts(db, sender, small, large);
    print(before, await measure(sender), small, large);
  } finally {
    await db.destroy();
    await server.stop();
  }
}

/** Before a statement runs, it is explained with ANALYZE behind a savepoint, so that it still finds its rows. */
function explainingPool(pool: pg.Pool, statements: Explained[], explained: { value: boolean }) {
  return {
    options: pool.options,
    end: () => pool.end(),
    connect: async () => {
      const client = await pool.connect();
      const query = async (text: string, values: unknown[]) => {
        if (explained.value && /^\s*(with|select|insert|update|delete)/i.test(text)) {
          await client.query('savepoint explained');
          const before = await pagesTouched(client);
          const { rows } = await client.query(`explain (analyze, format json) ${text}`, values);
          statements.push({
            plan: rows[0]['QUERY PLAN'][0].Plan,
            pages: (await pagesTouched(client)) - before,
          });
          await client.query('rollback to explained');
        }
        return await client.query(text, values);
      };
      return Object.assign(Object.create(client), { query });
    },
  };
}

/** In this transaction so far, of what is ours: ids below 16384 are the system's. */
async function pagesTouched(client: pg.PoolClient): Promise<number> {
  const { rows } = await client.query(
    'select sum(pg_stat_get_xact_blocks_fetched(oid)) as pages from pg_class where oid >= 16384',
  );
  return Number(rows[0].pages);
}

async function explainAll(
  db: Kysely<Database>,
  statements: Explained[],
  sender: FundedSender,
): Promise<Map<string, Cost>> {
  const costs = new Map<string, Cost>();
  for (const [name, runStatement] of hotStatements(sender)) {
    statements.length = 0;
    await db
      .transaction()
      .execute(async (trx) => {
        await runStatement(trx);
        throw new RolledBack();
      })
      .catch((error: unknown) => {
        if (!(error instanceof RolledBack)) throw error;
      });
    const pages = statements.reduce((sum, statement) => sum + statement.pages, 0);
    const scanned = new Set(statements.flatMap(({ plan }) => sequentialScans(plan)));
    costs.set(name, { pages, scanned: [...scanned] });
  }
  return costs;
}

function sequentialScans(plan: Plan): string[] {
  const table = plan['Relation Name'] ?? '';
  const own = plan['Node Type'] === 'Seq Scan' && growingTables.includes(table) ? [table] : [];
  return [...own, ...(plan.Plans ?? []).flatMap(sequentialScans)];
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
