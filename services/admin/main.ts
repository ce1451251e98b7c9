import { readFile, writeFile } from 'node:fs/promises';
import type { Kysely } from 'kysely';
import { z } from 'zod';
import { boundRole, boundsFor, unbounded } from '../database/bounds.ts';
import { createDatabase, defaultStatementTimeoutMs } from '../database/client.ts';
import { violatedConstraint } from '../database/errors.ts';
import { migrate } from '../database/migrate.ts';
import type { Database } from '../database/schema.ts';
import { createKeyringFile, type Keyring, parseKeyring } from '../domain/recipients/keyring.ts';
import { createApiKey } from '../domain/senders/create-api-key.ts';
import { createSender } from '../domain/senders/create-sender.ts';
import { revokeApiKey } from '../domain/senders/revoke-api-key.ts';
import { ensureQueue } from '../queue/provision.ts';
import { maxReceiveCountFor } from '../queue/queue-settings.ts';
import { createQueueClients } from '../queue/sqs.ts';
import { parseEnv } from '../runtime/env.ts';
import { databaseEnv, keyringEnv, processingEnv, sqsEnv } from '../runtime/env-variables.ts';
import { runMain } from '../runtime/run-main.ts';
import { type Command, parseCommand, UsageError, usage } from './commands.ts';

const env = process.env;
const print = (line: string) => void process.stdout.write(`${line}\n`);

await runMain('admin', async () => {
  try {
    await run(parseCommand(process.argv.slice(2)));
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`largesse admin: ${error.message}\n\n${usage}`);
    return 2;
  }
});

async function run(command: Command): Promise<void> {
  switch (command.name) {
    case 'migrate':
      return await bringUpToDate();
    case 'create-sender':
      return await withDatabase(async (db) => print(await createSender(db, command.sender)));
    case 'create-key':
      return await withDatabase((db) => printNewKey(db, command.key));
    case 'revoke-key':
      return await withDatabase((db) => revokeKey(db, command.prefix));
    case 'create-keyring':
      return await writeKeyring(command.file, command.keyId);
  }
}

/** Runs before anything that needs the schema; when it fails, a rollout must stop: the exit code says so. */
async function bringUpToDate(): Promise<void> {
  const { QUEUE_PROVISIONING: mode } = parseEnv(
    z.object({ QUEUE_PROVISIONING: sqsEnv.QUEUE_PROVISIONING }),
    env,
  );
  const applied = await withDatabase(migrate);
  print(applied.length === 0 ? 'the schema is up to date' : `migrated: ${applied.join(', ')}`);
  await withDatabase((db) => boundRole(db, boundsFor(defaultStatementTimeoutMs)));
  if (mode === 'create') print(`queues are ready: ${await provisionQueues()}`);
}

async function provisionQueues(): Promise<string> {
  const config = parseEnv(z.object({ ...sqsEnv, MAX_RETRY_COUNT: processingEnv.MAX_RETRY_COUNT }), env);
  const endpoint = config.AWS_ENDPOINT_URL_SQS;
  const clients = createQueueClients({
    region: config.AWS_REGION,
    ...(endpoint === undefined ? {} : { endpoint }),
  });
  try {
    const queue = await ensureQueue(clients, {
      name: config.GIFTS_QUEUE_NAME,
      deadLetterName: `${config.GIFTS_QUEUE_NAME}-dlq`,
      visibilityTimeoutSeconds: config.VISIBILITY_TIMEOUT_SECONDS,
      maxReceiveCount: maxReceiveCountFor(config.MAX_RETRY_COUNT),
      mode: 'create',
    });
    return `${queue.name}, ${queue.deadLetterName}`;
  } finally {
    clients.destroy();
  }
}

async function printNewKey(
  db: Kysely<Database>,
  draft: Extract<Command, { name: 'create-key' }>['key'],
): Promise<void> {
  const { key } = await createApiKey(db, { keyring: await readKeyring() }, draft).catch((error: unknown) => {
    if (violatedConstraint(error) !== 'api_keys_sender_id_fkey') throw error;
    throw new UsageError('there is no sender with this id; create-sender makes one', { cause: error });
  });
  print(key);
}

async function revokeKey(db: Kysely<Database>, prefix: string): Promise<void> {
  const revoked = await revokeApiKey(db, prefix, new Date());
  if (!revoked) throw new UsageError(`there is no key lgk_${prefix}_…`);
  print(`lgk_${prefix}_… is revoked since ${revoked.revokedAt.toISOString()}`);
}

async function readKeyring(): Promise<Keyring> {
  const { KEYRING_FILE: file } = parseEnv(z.object(keyringEnv), env);
  return parseKeyring(await readFile(file, 'utf8'));
}

/** Over an existing keyring it would make every sealed recipient unreadable, so an existing file is an error. */
async function writeKeyring(file: string, keyId: string): Promise<void> {
  await writeFile(file, createKeyringFile(keyId), { flag: 'wx', mode: 0o600 }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new UsageError(`${file} exists already and holds keys that may be in use`, { cause: error });
  });
  print(file);
}

async function withDatabase<T>(work: (db: Kysely<Database>) => Promise<T>): Promise<T> {
  const { DATABASE_URL: connectionString, DATABASE_PREPARED_STATEMENTS: prepareStatements } = parseEnv(
    z.object({
      DATABASE_URL: databaseEnv.DATABASE_URL,
      DATABASE_PREPARED_STATEMENTS: databaseEnv.DATABASE_PREPARED_STATEMENTS,
    }),
    env,
  );
  // A migration may take its time; a limit on it would leave a large table half of the way for ever.
  const { db } = createDatabase({
    connectionString,
    poolMax: 2,
    prepareStatements,
    applicationName: 'largesse-admin',
    statementTimeoutMs: 3_600_000,
    bounds: unbounded,
  });
  try {
    return await work(db);
  } finally {
    await db.destroy();
  }
}
