import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';

/**
 * Where the recount stands, unless a round has just ended: begun anew at once, a ledger of a thousand gifts was counted
 * again every two seconds for ever.
 */
export function recounting(
  atStart: RawBuilder<unknown>,
  endedAt: RawBuilder<unknown>,
  restSeconds: number,
): RawBuilder<unknown> {
  return sql`select * from ledger_closing
    where not ${atStart} or ${endedAt} is null or ${endedAt} <= clock_timestamp() - make_interval(secs => ${restSeconds})
    for update skip locked`;
}

/** A recount that goes through a table by its ids, and the columns of ledger_closing that say where it stands. */
export type Round = {
  table: 'gifts' | 'ledger_accounts';
  cursor: 'recount_gift' | 'recount_account';
  endedAt: 'gifts_recounted_at' | 'accounts_recounted_at';
};

const beforeFirst = '00000000-0000-0000-0000-000000000000';

/**
 * Goes on by the next `limit` rows; after the last it begins again with the first. No period is closed until the end of the
 * transaction.
 *
 * @returns their ids, and until when the ledger is closed; null while another process counts, or the round rests
 */
export async function nextOfRound(
  trx: Transaction<Database>,
  { table, cursor, endedAt }: Round,
  { limit, restSeconds }: { limit: number; restSeconds: number },
): Promise<{ ids: string[]; closedUntil: string } | null> {
  const [at, ended] = [sql.ref(cursor), sql.ref(endedAt)];
  const { rows } = await sql<{ closed_until: string; ids: string[] | null }>`
    select closed_until::text, (select array_agg(id order by id) from (
      select id from ${sql.table(table)} where id > closing.${at} order by id limit ${limit}) next) as ids
    from (${recounting(sql`${at} = ${beforeFirst}`, ended, restSeconds)}) closing`.execute(trx);
  const [next] = rows;
  if (!next) return null;
  const ids = next.ids ?? [];
  const last = ids.at(-1);
  await (last === undefined || ids.length < limit
    ? sql`update ledger_closing set ${at} = ${beforeFirst}, ${ended} = clock_timestamp()`
    : sql`update ledger_closing set ${at} = ${last}`
  ).execute(trx);
  return { ids, closedUntil: next.closed_until };
}
