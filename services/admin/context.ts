import type { Kysely } from 'kysely';
import { z } from 'zod';
import { unbounded } from '../database/bounds.ts';
import { createDatabase, type DatabaseOptions } from '../database/client.ts';
import { explainConnectionProblem, explainRefusedStatement } from '../database/connection-problem.ts';
import type { Database } from '../database/schema.ts';
import type { Keyring } from '../domain/recipients/keyring.ts';
import { checkKeyring, KeyringMismatch } from '../domain/recipients/known-keys.ts';
import { explainQueueProblem } from '../queue/connection-problem.ts';
import { createQueueClients, type QueueClients } from '../queue/sqs.ts';
import { parseEnv } from '../runtime/env.ts';
import { databaseEnv, keyringEnv, processingEnv, sqsEnv } from '../runtime/env-variables.ts';
import { readKeyring } from './keyring-file.ts';
import { Unreachable, UsageError } from './refusals.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** What a command works with. Each part is opened, and its variables are asked for, when a command needs it. */
export type AdminContext = {
  readonly env: Env;
  readonly withDatabase: <T>(work: (db: Kysely<Database>) => Promise<T>) => Promise<T>;
  /** The same without bounds: a limit on a migration would leave a large table half of the way for ever. */
  readonly withUnboundedDatabase: <T>(work: (db: Kysely<Database>) => Promise<T>) => Promise<T>;
  readonly keyring: () => Promise<Keyring>;
  /** The keyring, once it is known to belong to this database: what is made with another one would never be found. */
  readonly keyringOf: (db: Kysely<Database>) => Promise<Keyring>;
};

export function createContext(env: Env): AdminContext {
  return {
    env,
    withDatabase: (work) => withDatabase(env, {}, work),
    withUnboundedDatabase: (work) =>
      withDatabase(env, { statementTimeoutMs: 3_600_000, bounds: unbounded }, work),
    keyring: () => keyringFrom(env),
    keyringOf: async (db) => {
      const keyring = await keyringFrom(env);
      await checkKeyring(db, keyring).catch(explainMismatch);
      return keyring;
    },
  };
}

async function keyringFrom(env: Env): Promise<Keyring> {
  const { KEYRING_FILE: file } = parseEnv(z.object(keyringEnv), env);
  return (await readKeyring(file)).keyring;
}

function explainMismatch(error: unknown): never {
  if (error instanceof KeyringMismatch)
    throw new UsageError(`KEYRING_FILE: ${error.message}`, { cause: error });
  throw error;
}

export type QueueConfig = ReturnType<typeof queueConfig>;

/** @throws EnvironmentError */
export function queueConfig(env: Env) {
  return parseEnv(z.object({ ...sqsEnv, MAX_RETRY_COUNT: processingEnv.MAX_RETRY_COUNT }), env);
}

export async function withQueues<T>(
  config: QueueConfig,
  work: (clients: QueueClients) => Promise<T>,
): Promise<T> {
  const endpoint = config.AWS_ENDPOINT_URL_SQS;
  const clients = createQueueClients({
    region: config.AWS_REGION,
    ...(endpoint === undefined ? {} : { endpoint }),
  });
  try {
    return await work(clients);
  } catch (error) {
    throw unreachable(error, explainQueueProblem(error, endpoint));
  } finally {
    clients.destroy();
  }
}

async function withDatabase<T>(
  env: Env,
  bounds: Pick<DatabaseOptions, 'statementTimeoutMs' | 'bounds'>,
  work: (db: Kysely<Database>) => Promise<T>,
): Promise<T> {
  const { DATABASE_URL: connectionString } = parseEnv(
    z.object({ DATABASE_URL: databaseEnv.DATABASE_URL }),
    env,
  );
  const { db } = createDatabase({
    connectionString,
    poolMax: 2,
    // A command asks each statement once. Behind an older PgBouncer the name of one may be another process's already, which
    // inside a transaction, a migration's above all, is found out too late.
    prepareStatements: false,
    applicationName: 'largesse-admin',
    ...bounds,
  });
  try {
    return await work(db);
  } catch (error) {
    const said =
      explainConnectionProblem(error, connectionString) ?? explainRefusedStatement(error, connectionString);
    throw unreachable(error, said);
  } finally {
    await db.destroy();
  }
}

function unreachable(error: unknown, sentence: string | undefined): unknown {
  return sentence === undefined ? error : new Unreachable(sentence, { cause: error });
}
