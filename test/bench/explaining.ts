import { Kysely, PostgresDialect } from 'kysely';
import type pg from 'pg';
import type { Database } from '../../services/database/schema.ts';
import { growingTables } from './grow-gifts.ts';

/** What statements cost: pages touched (a page touched twice counts twice), and the growing tables that were read whole. */
export type Cost = { pages: number; scanned: string[] };

type Plan = { 'Node Type': string; 'Relation Name'?: string; 'Index Name'?: string; Plans?: Plan[] } & Record<
  string,
  unknown
>;

export type Explaining = {
  db: Kysely<Database>;
  /** what the statements cost that `work` runs through `db`, each of them in a transaction */
  explain: (work: () => Promise<unknown>) => Promise<Cost>;
};

/** Before a statement runs, it is explained with ANALYZE behind a savepoint, so that it still finds its rows. */
export function explainingDatabase(pool: pg.Pool): Explaining {
  let cost: Cost | undefined;
  const connect = async () => {
    const client = await pool.connect();
    const query = async (text: string, values: unknown[]) => {
      if (cost && /^\s*(with|select|insert|update|delete)/i.test(text)) {
        await client.query('savepoint explained');
        const before = await pagesTouched(client);
        const { rows } = await client.query(`explain (analyze, format json) ${text}`, values);
        cost.pages += (await pagesTouched(client)) - before;
        cost.scanned.push(...readWhole(rows[0]['QUERY PLAN'][0].Plan));
        await client.query('rollback to explained');
      }
      return await client.query(text, values);
    };
    return Object.assign(Object.create(client), { query });
  };
  const explainingPool = { options: pool.options, end: () => pool.end(), connect };
  return {
    db: new Kysely<Database>({ dialect: new PostgresDialect({ pool: explainingPool }) }),
    explain: async (work) => {
      const measured: Cost = { pages: 0, scanned: [] };
      cost = measured;
      await work().finally(() => {
        cost = undefined;
      });
      return { ...measured, scanned: [...new Set(measured.scanned)] };
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

function readWhole(plan: Plan): string[] {
  // What is kept by the month has its rows in the partition of the past here; the others are empty.
  const table = (plan['Relation Name'] ?? '').replace(/_past$/, '');
  const own = plan['Node Type'] === 'Seq Scan' && growingTables.includes(table) ? [table] : [];
  return [...own, ...(plan.Plans ?? []).flatMap(readWhole)];
}
