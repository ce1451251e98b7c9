import { execFile } from 'node:child_process';
import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { PostgresUser } from './postgres-binaries.ts';

export interface ClusterOptions {
  binaries: string;
  /** Must not exist, or hold only what a kill in the middle of this left. */
  data: string;
  /** OS user that the server will run as; undefined is our own. */
  user: PostgresUser | undefined;
  /** The superuser of the cluster. */
  superuser: string;
  password: string;
}

/** Makes the data folder of a PostgreSQL server. */
export async function createCluster(options: ClusterOptions): Promise<void> {
  const { binaries, data, user, superuser, password } = options;
  rmSync(data, { recursive: true, force: true });
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const passwordFile = `${data}.password`;
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user !== undefined) for (const path of [data, passwordFile]) chownSync(path, user.uid, user.gid);
  const flags = [
    '-U',
    superuser,
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--encoding=UTF8',
    '--no-sync',
  ];
  // The built-in locale needs no locale of the system to be installed, and sorts alike on every machine.
  const locale = ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'];
  try {
    await promisify(execFile)(join(binaries, 'initdb'), ['-D', data, ...flags, ...locale], {
      ...user,
      cwd: '/',
    });
  } catch (error) {
    rmSync(data, { recursive: true, force: true });
    const { stderr } = error as { stderr?: string };
    throw new Error(`PostgreSQL could not make its data folder ${data}:\n${stderr?.trim() || error}`, {
      cause: error,
    });
  } finally {
    rmSync(passwordFile, { force: true });
  }
}
