import { type RawBuilder, sql } from 'kysely';

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
