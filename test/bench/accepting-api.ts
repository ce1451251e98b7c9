import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { createDatabase } from '../../services/database/client.ts';
import type { parseKeyring } from '../../services/domain/recipients/keyring.ts';
import { createEmptyDatabase, withDatabaseName } from '../support/database.ts';
import { type FundedSender, fundedSender } from '../support/gifts.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { endChild } from './end-child.ts';

export type AcceptingSender = FundedSender & { key: string };

/** An API process that accepts gifts, with a database of its own, eight senders who can give for ever, and one who has a euro. */
export type AcceptingApi = {
  url: string;
  databaseUrl: string;
  senders: AcceptingSender[];
  poor: AcceptingSender;
};

/** Postgres and the SQS emulator that a bench's APIs share, and what is to be ended with them. */
export type Surroundings = {
  postgres: PostgresServer;
  sqs: { endpoint: string; region: string };
  folder: string;
  children: ChildProcess[];
};

export async function withSurroundings(work: (around: Surroundings) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'largesse-bench-'));
  const postgres = await startPostgres();
  const children: ChildProcess[] = [];
  try {
    const emulator = fork(new URL('./emulator-process.ts', import.meta.url));
    children.push(emulator);
    const [sqs] = (await once(emulator, 'message')) as [Surroundings['sqs']];
    await work({ postgres, sqs, folder, children });
  } finally {
    for (const child of children.toReversed()) await endChild(child);
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

const ourRoot = resolve(import.meta.dirname, '../..');

/** @param root the sources that are run: ours, or those of another release */
export async function startAcceptingApi(
  around: Surroundings,
  name: string,
  root = ourRoot,
): Promise<AcceptingApi> {
  await createEmptyDatabase(around.postgres.url, name);
  const databaseUrl = withDatabaseName(around.postgres.url, name);
  const keyringFile = join(around.folder, `${name}.json`);
  const [poor, ...senders] = await prepareDatabase(databaseUrl, keyringFile, root);
  if (!poor) throw new Error('no senders');
  const env = {
    PATH: process.env['PATH'],
    DATABASE_URL: databaseUrl,
    DATABASE_POOL_MAX: '16',
    AWS_REGION: around.sqs.region,
    AWS_ENDPOINT_URL_SQS: around.sqs.endpoint,
    AWS_ACCESS_KEY_ID: 'bench',
    AWS_SECRET_ACCESS_KEY: 'bench',
    GIFTS_QUEUE_NAME: name,
    QUEUE_PROVISIONING: 'create',
    KEYRING_FILE: keyringFile,
    PUBLIC_URL: 'http://127.0.0.1',
    LOG_FORMAT: 'json',
    HOST: '127.0.0.1',
    PORT: '0',
    METRICS_PORT: '0',
    RATE_LIMIT_IP_PER_MINUTE: '1000000000',
    RATE_LIMIT_KEY_PER_MINUTE: '1000000000',
  };
  const flags = process.env['BENCH_API_FLAGS']?.split(' ') ?? [];
  const api = spawn(process.execPath, [...flags, join(root, 'services/api/main.ts')], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  around.children.push(api);
  for await (const line of createInterface({ input: api.stdout })) {
    if (!line.includes('"event":"started"')) continue;
    api.stdout.resume();
    return { url: `http://127.0.0.1:${JSON.parse(line).port}`, databaseUrl, senders, poor };
  }
  throw new Error(`the API of ${root} did not start`);
}

/** With the migrations, keyring and keys of that release. @returns the senders, who can give for ever but for the first */
async function prepareDatabase(
  databaseUrl: string,
  keyringFile: string,
  root: string,
): Promise<AcceptingSender[]> {
  const theirs = async <T>(file: string): Promise<T> => await import(join(root, 'services', file));
  type Migrate = typeof import('../../services/database/migrate.ts');
  type Client = typeof import('../../services/database/client.ts');
  type Keys = typeof import('../../services/domain/senders/create-api-key.ts');
  type Keyrings = typeof import('../../services/domain/recipients/keyring.ts');
  const { migrate } = await theirs<Migrate>('database/migrate.ts');
  const { createApiKey } = await theirs<Keys>('domain/senders/create-api-key.ts');
  const keyrings = await theirs<Keyrings>('domain/recipients/keyring.ts');
  const options = { connectionString: databaseUrl, poolMax: 2, applicationName: 'bench' };
  const their = (await theirs<Client>('database/client.ts')).createDatabase(options);
  const our = createDatabase(options);
  await migrate(their.db);
  await writeFile(keyringFile, keyrings.createKeyringFile('bench'));
  const keyring: ReturnType<typeof parseKeyring> = keyrings.parseKeyring(await readFile(keyringFile, 'utf8'));
  const senders: AcceptingSender[] = [];
  for (let i = 0; i <= 8; i += 1) {
    const sender = await fundedSender(our.db, i === 0 ? 100 : 1_000_000_000_000);
    const draft = { senderId: sender.senderId, name: 'bench', roles: ['sender' as const] };
    const { key } = await createApiKey(their.db, { keyring }, { ...draft, scopes: null, expiresAt: null });
    senders.push({ ...sender, key });
  }
  await their.db.destroy();
  await our.db.destroy();
  return senders;
}
