import pg from 'pg';
import { cancelStatement } from './cancel.ts';
import {
  endsSession,
  isOfSession,
  isStalePlan,
  isWorthAnotherSession,
  losesPrepared,
  rememberDriverError,
} from './errors.ts';
import type { PreparedStatements } from './prepared-statements.ts';
import type { SessionStart } from './session-start.ts';
import { Trust } from './trust.ts';

/** What the connections of a pool have found out, for its operator. */
export type DatabaseNote =
  | { event: 'sessions_discarded'; reason: string }
  | { event: 'prepared_statements_off'; reason: string }
  | { event: 'bounds_refused'; reason: string };

export type ConnectionsOptions = {
  prepared: PreparedStatements;
  start: SessionStart;
  note: (note: DatabaseNote) => void;
};

/**
 * The pool as Kysely sees it. Statements are prepared if wanted. A session that is known to be bad is used by nobody again,
 * and a statement that only met one is repeated once on a new session, where it is certain that nothing was done.
 */
export function connectionsOf(pool: pg.Pool, options: ConnectionsOptions): pg.Pool {
  const trust = new Trust();
  pool.on('connect', (client) => trust.connected(client));
  const deps = { ...options, pool, trust };
  return {
    options: pool.options,
    connect: async () => new Session(deps, await connect(deps)).asClient(),
    end: () => pool.end(),
  } as pg.Pool;
}

type Deps = ConnectionsOptions & { pool: pg.Pool; trust: Trust };

async function connect(deps: Deps): Promise<pg.PoolClient> {
  for (;;) {
    const { version } = deps.start;
    const client = await deps.pool.connect().catch((error: unknown) => {
      rememberDriverError(error);
      // Several may be refused at once: what one of them has found out is true for all.
      if (deps.start.version !== version) return null;
      const reason = deps.start.relax(error);
      if (reason === null) throw error;
      deps.note({ event: 'bounds_refused', reason });
      return null;
    });
    if (client === null) continue;
    if (!deps.trust.isLost(client)) return client;
    client.release(true);
  }
}

class Session {
  readonly #deps: Deps;
  #client: pg.PoolClient;
  #broken: Error | undefined;

  constructor(deps: Deps, client: pg.PoolClient) {
    this.#deps = deps;
    this.#client = client;
  }

  asClient(): pg.PoolClient {
    return {
      query: (text: string, values?: unknown[]) => this.#query(text, values),
      release: (error?: Error | boolean) => this.#release(error),
      processID: (this.#client as { processID?: number }).processID,
    } as unknown as pg.PoolClient;
  }

  async #query(text: string, values?: unknown[]): Promise<pg.QueryResult> {
    const alone = this.#client.getTransactionStatus() === 'I';
    const fresh = this.#deps.trust.isFresh(this.#client);
    try {
      return await this.#send(text, values);
    } catch (error) {
      this.#judge(error);
      // In a transaction, what came before is gone as well: only its owner can repeat it.
      if (!alone || !isWorthAnotherSession(error) || (fresh && !aboutPlans(error))) throw error;
    }
    this.#release();
    this.#broken = undefined;
    this.#client = await connect(this.#deps);
    try {
      return await this.#send(text, values);
    } catch (error) {
      this.#judge(error);
      throw error;
    }
  }

  async #send(text: string, values?: unknown[]): Promise<pg.QueryResult> {
    const prepared = this.#deps.prepared.of(text, values);
    try {
      return await (prepared === undefined
        ? this.#client.query(text, values)
        : this.#client.query({ ...prepared, values: values ?? [] }));
    } catch (error) {
      rememberDriverError(error);
      throw error;
    }
  }

  /** What an error says of this session, of the others, and of what is prepared. */
  #judge(error: unknown): void {
    if (!(error instanceof Error)) return;
    // One that has just begun would be followed by another that says the same.
    if (isOfSession(error) && !this.#deps.trust.isFresh(this.#client)) this.#broken ??= error;
    if (!endsSession(error)) return;
    const { trust, prepared, note } = this.#deps;
    const known = this.#broken !== undefined;
    this.#broken = error;
    if (known) return;
    if (error instanceof pg.DatabaseError) {
      if (isStalePlan(error)) prepared.renew();
      if (losesPrepared(error) && prepared.switchOff())
        note({ event: 'prepared_statements_off', reason: error.message });
      if (error.code !== '25006') return;
    } else if (error.message !== silence) {
      return;
    } else {
      // pg gives up on the answer, not on the statement: whoever got this session next would wait behind it.
      cancelStatement(this.#client);
    }
    if (trust.lose()) note({ event: 'sessions_discarded', reason: error.message });
  }

  #release(error?: Error | boolean): void {
    this.#client.release(error || this.#broken || this.#deps.trust.isLost(this.#client));
  }
}

const silence = 'Query read timeout';

const aboutPlans = (error: unknown) =>
  error instanceof pg.DatabaseError && (isStalePlan(error) || losesPrepared(error));
