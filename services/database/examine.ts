import { randomBytes } from 'node:crypto';
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
    return { pooled: rows[0]?.pid !== processID, followed: rows[0]?.named === false };
  } finally {
    // Nobody needs what was prepared here.
    session.release(true);
  }
}
