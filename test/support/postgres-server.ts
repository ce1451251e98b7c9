import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { findBinaries, type PostgresUser } from '../../scripts/embedded/postgres-binaries.ts';
import { createCluster } from '../../scripts/embedded/postgres-cluster.ts';
import { findPostgresUser } from '../../scripts/embedded/postgres-user.ts';
import { freePort } from './free-port.ts';

export type PostgresServer = {
  /** connection string of the maintenance database */
  url: string;
  /** stops the server and starts it again on the same port and data */
  restart: () => Promise<void>;
  /** the same, without a checkpoint or a word to anybody: it comes back by recovery */
  crash: () => Promise<void>;
  /** runs one statement on a connection of its own, past every limit */
  run: (text: string, values?: unknown[]) => Promise<void>;
  /** as after a failover to a node that only reads: sessions are ended, and new ones can't write */
  setReadOnly: (readOnly: boolean) => Promise<void>;
  stop: () => Promise<void>;
};

type Server = { binaries: string; data: string; user: PostgresUser | undefined; port: number };

/** A real PostgreSQL of its own in a temporary folder, gone after `stop()`. */
export async function startPostgres(): Promise<PostgresServer> {
  const user = findPostgresUser((line) => void process.stderr.write(`${line}\n`));
  const folder = mkdtempSync(join(tmpdir(), 'largesse-postgres-'));
  // As root the server runs as the user postgres, who must be able to reach its folder.
  if (user !== undefined) chmodSync(folder, 0o755);
  const server = {
    binaries: await findBinaries(user),
    data: join(folder, 'data'),
    user,
    port: await freePort(),
  };
  await createCluster({ ...server, superuser: 'postgres', password: 'postgres' });
  let running = await launch(server);
  const url = `postgres://postgres:postgres@127.0.0.1:${server.port}/postgres`;
  return {
    url,
    run: (text, values) => runOn(url, [{ text, values: values ?? [] }]),
    setReadOnly: (readOnly) =>
      runOn(url, [
        { text: `alter system set default_transaction_read_only = ${readOnly ? 'on' : 'off'}`, values: [] },
        { text: 'select pg_reload_conf()', values: [] },
        {
          text: 'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = $1',
          values: ['client backend'],
        },
      ]),
    restart: async () => {
      await shutDown(running);
      running = await launch(server);
    },
    crash: async () => {
      await shutDown(running, 'SIGQUIT');
      running = await launch(server);
    },
    stop: async () => {
      await shutDown(running);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * `none`: nothing in a test must survive a power cut. `production`: every commit waits for the disk, as PostgreSQL does by
 * itself and as a figure for production must be measured: without that wait, a commit costs what it costs nobody.
 */
const durability = process.env['POSTGRES_DURABILITY'] === 'production' ? 'production' : 'none';

const settings = [
  ...(durability === 'production'
    ? ['fsync=on', 'full_page_writes=on', 'synchronous_commit=on']
    : ['fsync=off', 'full_page_writes=off']),
  'max_connections=300',
  'unix_socket_directories=',
];

async function launch({ binaries, data, user, port }: Server): Promise<ChildProcess> {
  const flags = [
    '-D',
    data,
    '-p',
    String(port),
    '-h',
    '127.0.0.1',
    ...settings.flatMap((one) => ['-c', one]),
  ];
  // In our process group on purpose: a Ctrl-C that ends the tests ends the server too.
  const server = spawn(join(binaries, 'postgres'), flags, {
    ...user,
    cwd: data,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  await new Promise<void>((resolve, reject) => {
    server.stderr?.on('data', (chunk) => {
      // After the start nobody reads it, but somebody must drain it: a full pipe stops the server.
      if (!log.includes(ready)) log += chunk;
      if (log.includes(ready)) resolve();
    });
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`PostgreSQL did not start (exit code ${code}):\n${log}`)));
  });
  return server;
}

const ready = 'database system is ready to accept connections';

/** SIGINT is its fast shutdown: sessions are ended, not waited for; SIGQUIT the immediate one. */
async function shutDown(server: ChildProcess, signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = once(server, 'close');
  server.kill(signal);
  await ended;
}

async function runOn(url: string, statements: { text: string; values: unknown[] }[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  // What it does may end its own server's sessions, this one among them.
  client.on('error', () => undefined);
  await client.connect();
  try {
    for (const { text, values } of statements) await client.query(text, values);
  } finally {
    await client.end().catch(() => undefined);
  }
}
