import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { connectionsOf } from './connections.ts';
import type { Database } from './schema.ts';

export type DatabaseOptions = {
  connectionString: string;
  /** connections of this process; times the replicas it must stay below the server's max_connections */
  poolMax: number;
  applicationName: string;
  /** bound on every statement, in milliseconds */
  statementTimeoutMs?: number;
  /** off for a pooler that knows no prepared statements; on by default */
  prepareStatements?: boolean;
  /** told of each connection that the server or the network ended between two statements */
  onConnectionLost?: (error: Error) => void;
};

export type DatabaseClient = { db: Kysely<Database>; pool: pg.Pool };

/** Opens a pool; connections are made on demand, so this never fails by itself. End it with `db.destroy()`. */
export function createDatabase(options: DatabaseOptions): DatabaseClient {
  const pool = new pg.Pool({
    connectionString: options.connectionString,
    max: options.poolMax,
    application_name: options.applicationName,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    // The server's own limit would need a session setting that a transaction-pooling proxy loses.
    query_timeout: options.statementTimeoutMs ?? 15_000,
    types: { getTypeParser },
  });
  // Without a listener a restarted server ends the process by an unhandled 'error' event. The pool listens only to clients
  // that lie idle in it; one that is in use, between two statements of a transaction, would have nobody.
  pool.on('connect', (client) => client.on('error', (error) => options.onConnectionLost?.(error)));
  // The pool tells of the same losses once more; it only must not find nobody listening.
  pool.on('error', () => undefined);
  const connections = connectionsOf(pool, { prepareStatements: options.prepareStatements ?? true });
  return { db: new Kysely<Database>({ dialect: new PostgresDialect({ pool: connections }) }), pool };
}

const getTypeParser: typeof pg.types.getTypeParser = (oid: number, format?: 'text' | 'binary') =>
  oid === pg.types.builtins.INT8 || oid === pg.types.builtins.NUMERIC
    ? parseSafeInteger
    : pg.types.getTypeParser(oid, format as 'text');

/** Sums and amounts beyond 2^53 would lose cents silently; refuse them instead. */
function parseSafeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value))
    throw new RangeError(`${text} is beyond the integers that are exact here`);
  return value;
}
