import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { FOLDER, readJson, writeJson } from './folder.ts';
import type { PartCommand } from './part.ts';
import { findPostgres, type PostgresHome, type PostgresUser } from './postgres-binaries.ts';
import { createCluster } from './postgres-cluster.ts';
import { stopOrphan } from './postgres-orphan.ts';
import { findPostgresUser } from './postgres-user.ts';

export const POSTGRES_LOG = join(FOLDER, 'postgres.log');
const DATABASE = 'largesse';

export interface EmbeddedPostgres {
  part: PartCommand;
  /** Connection string of our database. */
  url: string;
}

/** Makes the cluster if it is not there yet and ends a server that a killed run left on it. */
export async function preparePostgres(port: number, say: (line: string) => void): Promise<EmbeddedPostgres> {
  const user = findPostgresUser(say);
  const home = await findPostgres(user);
  if (home.note !== undefined) say(home.note);
  const isMade = existsSync(join(home.data, 'PG_VERSION'));
  const password = rememberedPassword(isMade);
  if (isMade) await stopOrphan(home.data, say);
  else await createCluster({ ...home, user, superuser: 'largesse', password });
  checkVersion(home);
  const urlOf = (database: string) => `postgres://largesse:${password}@127.0.0.1:${port}/${database}`;
  return { part: serverPart(home, user, port, urlOf('postgres')), url: urlOf(DATABASE) };
}

/** A log of every line: the console shows it only when the server fails. */
export function logPostgres(line: string): void {
  try {
    appendFileSync(POSTGRES_LOG, `${line}\n`, { mode: 0o600 });
  } catch {
    // A full disk must not end the supervisor, and every part with it, over a line of a log.
  }
}

/** Random per installation, so that another user of this machine can't walk in. */
function rememberedPassword(isMade: boolean): string {
  const remembered = readJson<{ postgresPassword: string }>('secrets.json');
  if (remembered !== undefined) return remembered.postgresPassword;
  if (isMade) {
    throw new Error(
      `The database in ${FOLDER} is there, but its password (${FOLDER}/secrets.json) is gone.\n` +
        `Put that file back, or remove the folder ${FOLDER} to begin anew: rm -rf ${FOLDER}`,
    );
  }
  const postgresPassword = randomBytes(18).toString('base64url');
  writeJson('secrets.json', { postgresPassword });
  return postgresPassword;
}

function checkVersion(home: PostgresHome): void {
  const found = readFileSync(join(home.data, 'PG_VERSION'), 'utf8').trim();
  if (found === '18') return;
  throw new Error(
    `The data in ${home.data} were written by PostgreSQL ${found}, and this is 18.\n` +
      `If you don't need them, remove that folder; otherwise dump them with ${found} and load them with DATABASE_URL=….`,
  );
}

function serverPart(
  home: PostgresHome,
  user: PostgresUser | undefined,
  port: number,
  url: string,
): PartCommand {
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'max_connections=100',
    'timezone=UTC',
  ];
  return {
    name: 'postgres',
    command: join(home.binaries, 'postgres'),
    args: ['-D', home.data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    // A folder that its user can enter: initdb and postgres refuse to run where they can't tell where they are.
    cwd: home.data,
    ...(user === undefined ? {} : { user }),
    // Fast shutdown: ends sessions instead of waiting for them.
    stopSignal: 'SIGINT',
    stopTimeoutMs: 20_000,
    // Recovery after a SIGKILL can take a while on a big write-ahead log.
    readyTimeoutMs: 120_000,
    ports: [port],
    isReady: () => ensureDatabase(url),
  };
}

/** True once the server takes connections and has our database; false while it starts. */
async function ensureDatabase(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  // A server that goes down while we ask raises this on the client, next to rejecting the call.
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    const { code } = error as { code?: string };
    const isStarting = code === 'ECONNREFUSED' || code === '57P03' || code === 'ECONNRESET';
    if (isStarting) return false;
    throw error;
  }
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
    return true;
  } finally {
    await client.end();
  }
}
