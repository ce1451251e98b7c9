import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';

/** Keeps what was found broken in what is closed: rows of `(invariant, subject_id, broken)`. */
export async function noteFindings(trx: Transaction<Database>, findings: RawBuilder<unknown>): Promise<void> {
  await sql`
    insert into ledger_findings as known (invariant, subject_id, broken)
    select invariant, subject_id, broken from (${findings}) found order by invariant, subject_id
    on conflict (invariant, subject_id) do update set broken = excluded.broken`.execute(trx);
}
