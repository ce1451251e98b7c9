import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDatabase, type DatabaseClient } from '../../services/database/client.ts';
import { migrate } from '../../services/database/migrate.ts';
import type { Role } from '../../services/database/states.ts';
import { currencies } from '../../services/domain/currencies.ts';
import type { SenderId } from '../../services/domain/ids.ts';
import { createKeyringFile, type Keyring, parseKeyring } from '../../services/domain/recipients/keyring.ts';
import { createApiKey } from '../../services/domain/senders/create-api-key.ts';
import { createSender } from '../../services/domain/senders/create-sender.ts';
import { fund } from '../support/gifts.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { killRoles, startRole } from '../support/role-process.ts';

export type FuzzedSystem = {
  url: string;
  /** by role; `all` has every role, and money in every currency */
  keys: Readonly<Record<Role | 'all', string>>;
  /** what the API logged that it must not: errors, and lines that hold one of these texts */
  badLogLines: (never: readonly string[]) => string[];
  end: () => Promise<void>;
};

const roles: Role[] = ['sender', 'operator', 'auditor', 'admin', 'reviewer', 'merchant'];
/** The last lines are enough to tell what went wrong; errors are kept besides. */
const keepLines = 20_000;

/** An API process on a database and a queue of its own. No limit stands in the way of who asks a hundred thousand times. */
export async function startFuzzedSystem(): Promise<FuzzedSystem> {
  const [postgres, folder] = await Promise.all([startPostgres(), mkdtemp(join(tmpdir(), 'largesse-fuzz-'))]);
  const keyringText = createKeyringFile('fuzz');
  const keyringFile = join(folder, 'keyring.json');
  await writeFile(keyringFile, keyringText, { mode: 0o600 });
  const client = createDatabase({ connectionString: postgres.url, poolMax: 2, applicationName: 'fuzz' });
  await migrate(client.db);
  const keys = await makeKeys(client, parseKeyring(keyringText));
  await client.db.destroy();
  const emulator = fork(new URL('../bench/emulator-process.ts', import.meta.url));
  const [{ endpoint, region }] = (await once(emulator, 'message')) as [{ endpoint: string; region: string }];
  const errors: string[] = [];
  const onLine = (line: Record<string, unknown>) => {
    if (line['level'] === 'error') errors.push(JSON.stringify(line));
  };
  const env = {
    ...environment,
    DATABASE_URL: postgres.url,
    KEYRING_FILE: keyringFile,
    AWS_REGION: region,
    AWS_ENDPOINT_URL_SQS: endpoint,
  };
  const api = startRole('api', [], env, { onLine, keepLines });
  const { port } = await api.logged('started');
  return {
    url: `http://127.0.0.1:${port}`,
    keys,
    badLogLines: (never) => [
      ...errors,
      ...api
        .output()
        .split('\n')
        .filter((line) => never.some((text) => line.includes(text))),
    ],
    end: async () => {
      await killRoles();
      await endOf(emulator);
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const unlimited = '1000000000';
const environment = {
  AWS_ACCESS_KEY_ID: 'fuzz',
  AWS_SECRET_ACCESS_KEY: 'fuzz',
  QUEUE_PROVISIONING: 'create',
  PUBLIC_URL: 'http://127.0.0.1',
  LOG_FORMAT: 'json',
  LOG_LEVEL: 'debug',
  HOST: '127.0.0.1',
  PORT: '0',
  METRICS_PORT: '0',
  RATE_LIMIT_IP_PER_MINUTE: unlimited,
  RATE_LIMIT_KEY_PER_MINUTE: unlimited,
  RATE_LIMIT_CLAIM_PER_MINUTE: unlimited,
};

async function makeKeys({ db }: DatabaseClient, keyring: Keyring): Promise<FuzzedSystem['keys']> {
  const senderId: SenderId = await createSender(db, { name: 'Fuzz' });
  for (const currency of currencies) {
    await fund(db, senderId, { amount: 100_000_000_000, currency });
  }
  const keyOf = async (of: Role[]) => {
    const draft = { senderId, name: of.join(), roles: of, scopes: null, expiresAt: null };
    return (await createApiKey(db, { keyring }, draft)).key;
  };
  const all = await keyOf(roles);
  const single = await Promise.all(roles.map(async (role) => [role, await keyOf([role])] as const));
  return { all, ...(Object.fromEntries(single) as Record<Role, string>) };
}

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
}
