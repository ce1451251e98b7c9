import { type Kysely, sql } from 'kysely';
import type { Database } from '../../services/database/schema.ts';

/** Pages of tables and indexes of ours that some work touches; one that is touched twice counts twice. */
export async function pagesRead(
  db: Kysely<Database>,
  work: (db: Kysely<Database>) => Promise<unknown>,
): Promise<number> {
  return await db.transaction().execute(async (trx) => {
    const touched = async () => {
      const { rows } = await sql<{ pages: string }>`
        select sum(pg_stat_get_xact_blocks_fetched(oid)) as pages from pg_class where oid >= 16384`.execute(
        trx,
      );
      return Number(rows[0]?.pages);
    };
    const before = await touched();
    await work(trx);
    return (await touched()) - before;
  });
}
