import type pg from 'pg';
import { preparedName } from './prepared-statements.ts';

/** The pool as Kysely sees it: statements are prepared if wanted, and a connection that went silent is not used again. */
export function connectionsOf(pool: pg.Pool, options: { prepareStatements: boolean }): pg.Pool {
  return {
    options: pool.options,
    connect: async () => wrap(await pool.connect(), options),
    end: () => pool.end(),
  } as pg.Pool;
}

function wrap(client: pg.PoolClient, { prepareStatements }: { prepareStatements: boolean }): pg.PoolClient {
  let silent = false;
  const query = async (text: string, values?: unknown[]) => {
    const name = prepareStatements ? preparedName(text, values) : undefined;
    try {
      return await (name === undefined
        ? client.query(text, values)
        : client.query({ name, text, values: values ?? [] }));
    } catch (error) {
      silent ||= error instanceof Error && error.message === 'Query read timeout';
      throw error;
    }
  };
  // pg gives up on the answer, not on the statement: whoever got this connection next would wait behind it.
  const release = (error?: Error | boolean) => client.release(error || silent);
  return {
    query,
    release,
    processID: (client as { processID?: number }).processID,
  } as unknown as pg.PoolClient;
}
