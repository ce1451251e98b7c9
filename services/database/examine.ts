import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { missingBounds, readBounds } from './bounds.ts';
import type { DatabaseClient } from './client.ts';

/** What stands between this process and its server, and what does not get through. */
export type Examination = {
  /** whether sessions are lent by a pooler */
  pooled: boolean;
  /** whether a prepared statement is still there when the next one comes by another session */
  preparedStatements: boolean;
  /** settings that no side bounds */
  missingBounds: string[];
};

/**
 * Finds out at start what would fail under load only. Prepared statements that a pooler does not follow are switched off
 * for this process: whichever session came next would not know them.
 */
export async function examineDatabase(client: DatabaseClient): Promise<Examination> {
  // First, and by the way that all take: it finds out with what a session can be started at all.
  const bounds = await readBounds(client.db);
  const { pooled, followed } = await probePooler(client);
  const preparedStatements = client.prepared.on && (!pooled || followed);
  if (!preparedStatements) client.prepared.switchOff();
  return { pooled, preparedStatements, missingBounds: missingBounds(bounds) };
}

/** A pooler that lends a session for one statement only. It takes most of what is asked, and refuses the rest for ever. */
export class NoTransactionsError extends Error {
  override readonly name = 'NoTransactionsError';
  readonly code = 'pooler_takes_no_transactions';
}

async function mustTakeTransactions(session: pg.PoolClient): Promise<void> {
  try {
    await session.query('begin');
    await session.query('rollback');
  } catch (cause) {
    if (!(cause instanceof pg.DatabaseError) || !/transaction/i.test(cause.message)) throw cause;
    throw new NoTransactionsError(
      'the pooler before the database takes no transactions: set its pool_mode to transaction or session',
      { cause },
    );
  }
}

/**
 * A pooler makes up the process id that it greets with. One that follows prepared statements gives them names of its own on
 * the server, because two of its clients may use the same; under the name that we gave, a statement is lost with its session.
 */
async function probePooler({ pool }: DatabaseClient): Promise<{ pooled: boolean; followed: boolean }> {
  const session = await pool.connect();
  try {
    const name = `l_probe_${randomBytes(8).toString('hex')}`;
    const { rows } = await session.query<{ pid: number; named: boolean }>({
      name,
      text: `select pg_backend_pid() as pid,
        exists (select from pg_prepared_statements where name = $1) as named /* ${name} */`,
      values: [name],
    });
    const { processID } = session as unknown as { processID: number };
    const pooled = rows[0]?.pid !== processID;
    if (pooled) await mustTakeTransactions(session);
    return { pooled, followed: rows[0]?.named === false };
  } finally {
    // Nobody needs what was prepared here.
    session.release(true);
  }
}
