import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findBinaries, type PostgresUser } from '../../scripts/embedded/postgres-binaries.ts';
import { createCluster } from '../../scripts/embedded/postgres-cluster.ts';
import { findPostgresUser } from '../../scripts/embedded/postgres-user.ts';

export type PostgresServer = {
  /** connection string of the maintenance database */
  url: string;
  /** stops the server and starts it again on the same port and data */
  restart: () => Promise<void>;
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
  return {
    url: `postgres://postgres:postgres@127.0.0.1:${server.port}/postgres`,
    restart: async () => {
      await shutDown(running);
      running = await launch(server);
    },
    stop: async () => {
      await shutDown(running);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Nothing here must survive a power cut; durability of the server itself is not what is tested. */
const settings = ['fsync=off', 'full_page_writes=off', 'max_connections=300', 'unix_socket_directories='];

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

/** SIGINT is its fast shutdown: sessions are ended, not waited for. */
async function shutDown(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = once(server, 'close');
  server.kill('SIGINT');
  await ended;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
