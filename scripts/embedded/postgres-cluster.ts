import { execFile } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { PostgresUser } from './postgres-binaries.ts';

export interface ClusterOptions {
  binaries: string;
  /** Replaced if it is there. The folder that holds it is made too, and opened for `user` to pass through. */
  data: string;
  /** OS user that the server will run as; undefined is our own. */
  user: PostgresUser | undefined;
  /** The superuser of the cluster. */
  superuser: string;
  password: string;
}

/**
 * Makes the data folder of a PostgreSQL server, aside and renamed when it is whole: initdb writes PG_VERSION first, so a
 * kill in the middle would leave a half-made folder that looks like a finished one. Aside is another place each time,
 * because the initdb of a killed start goes on for a second or two, and when it fails it empties its folder.
 */
export async function createCluster(options: ClusterOptions): Promise<void> {
  const { binaries, data, user, superuser, password } = options;
  makePassage(dirname(data));
  const half = mkdtempSync(asidePrefix(data));
  const passwordFile = `${half}.password`;
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user !== undefined) for (const path of [half, passwordFile]) chownSync(path, user.uid, user.gid);
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
    await promisify(execFile)(join(binaries, 'initdb'), ['-D', half, ...flags, ...locale], {
      ...user,
      cwd: '/',
    });
  } catch (error) {
    rmSync(half, { recursive: true, force: true });
    const { stderr } = error as { stderr?: string };
    throw new Error(`PostgreSQL could not make its data folder ${data}:\n${stderr?.trim() || error}`, {
      cause: error,
    });
  } finally {
    rmSync(passwordFile, { force: true });
  }
  rmSync(data, { recursive: true, force: true });
  renameSync(half, data);
  removeAside(data);
}

function asidePrefix(data: string): string {
  return `${data}.new-`;
}

/** What killed starts left. Last, when their initdb has had time to end: it would write into what is being removed. */
function removeAside(data: string): void {
  for (const name of readdirSync(dirname(data))) {
    const path = join(dirname(data), name);
    if (path.startsWith(asidePrefix(data))) rmSync(path, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** 0711 whatever the umask: as root, PostgreSQL runs as another user and must pass through to its data. */
function makePassage(folder: string): void {
  if (!existsSync(dirname(folder))) makePassage(dirname(folder));
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o711);
}
