import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { type Bounds, boundsFor } from './bounds.ts';
import { connectionsOf, type DatabaseNote } from './connections.ts';
import { PreparedStatements } from './prepared-statements.ts';
import { ProvingClient } from './proving-client.ts';
import type { Database } from './schema.ts';
import { SessionStart } from './session-start.ts';
import { shareOf } from './share-of-pool.ts';

export type DatabaseOptions = {
  connectionString: string;
  /** connections of this process; times the replicas it must stay below the server's max_connections */
  poolMax: number;
  applicationName: string;
  /** bound on every statement, in milliseconds: the server ends it then, and the client stops to wait a moment later */
  statementTimeoutMs?: number;
  /** how much longer than that an answer may take before it counts as silence (default 3 s) */
  silenceMs?: number;
  /** what else the server bounds; derived from the above when left out */
  bounds?: Bounds;
  /** off for a pooler that knows no prepared statements; on by default */
  prepareStatements?: boolean;
  /** told of each connection that the server or the network ended between two statements */
  onConnectionLost?: (error: Error) => void;
  /** told of what was found out about the way to the server, once each time */
  onNote?: (note: DatabaseNote) => void;
};

export type DatabaseClient = {
  db: Kysely<Database>;
  /** the same database for what only looks: it takes half of the connections at most, so that changes always find one */
  reads: Kysely<Database>;
  pool: pg.Pool;
  prepared: PreparedStatements;
};

/** Opens a pool; connections are made on demand, so this never fails by itself. End it with `db.destroy()`. */
export function createDatabase(options: DatabaseOptions): DatabaseClient {
  const statementTimeoutMs = options.statementTimeoutMs ?? defaultStatementTimeoutMs;
  const pool = new pg.Pool({
    ...addressOf(options.connectionString),
    Client: ProvingClient,
    max: options.poolMax,
    application_name: options.applicationName,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    // The server's own limit comes first, or its answer would be taken for silence.
    query_timeout: statementTimeoutMs + (options.silenceMs ?? 3_000),
    types: { getTypeParser },
  });
  // Without a listener a restarted server ends the process by an unhandled 'error' event. The pool listens only to clients
  // that lie idle in it; one that is in use, between two statements of a transaction, would have nobody.
  pool.on('connect', (client) => client.on('error', (error) => options.onConnectionLost?.(error)));
  // The pool tells of the same losses once more; it only must not find nobody listening.
  pool.on('error', () => undefined);
  const prepared = new PreparedStatements(options.prepareStatements ?? true);
  const connections = connectionsOf(pool, {
    prepared,
    start: new SessionStart(pool.options, options.bounds ?? boundsFor(statementTimeoutMs)),
    note: options.onNote ?? (() => undefined),
  });
  const open = (through: pg.Pool) =>
    new Kysely<Database>({ dialect: new PostgresDialect({ pool: through }) });
  return {
    db: open(connections),
    reads: open(shareOf(connections, Math.max(1, Math.floor(options.poolMax / 2)))),
    pool,
    prepared,
  };
}

/** What one statement may take, in milliseconds, where nothing else is said. */
export const defaultStatementTimeoutMs = 12_000;

/** What the address says in `options` would replace ours: it is handed over beside them instead. */
function addressOf(connectionString: string): { connectionString: string; options?: string } {
  const url = URL.parse(connectionString);
  const options = url?.searchParams.get('options');
  if (!url || !options) return { connectionString };
  url.searchParams.delete('options');
  return { connectionString: url.href, options };
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
