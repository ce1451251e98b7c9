import { execFileSync } from 'node:child_process';
import type { PostgresUser } from './postgres-binaries.ts';

/**
 * The OS user that PostgreSQL runs as: our own (undefined), or, because it refuses to run as root, the system's
 * `postgres`, made when there is none.
 */
export function findPostgresUser(say: (line: string) => void): PostgresUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const existing = idsOf('postgres');
  if (existing !== undefined) return existing;
  try {
    execFileSync('useradd', [
      '--system',
      '--user-group',
      '--no-create-home',
      '--shell',
      '/usr/sbin/nologin',
      'postgres',
    ]);
  } catch (error) {
    throw new Error(
      'PostgreSQL refuses to run as root, and the system user `postgres` could not be made for it.\n' +
        'Run npm start as an ordinary user, or use a PostgreSQL of your own: DATABASE_URL=… npm start',
      { cause: error },
    );
  }
  say('Made the system user `postgres`, because PostgreSQL refuses to run as root.');
  return idsOf('postgres');
}

function idsOf(name: string): PostgresUser | undefined {
  const ask = (flag: string) => Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: 'pipe' }));
  try {
    return { uid: ask('-u'), gid: ask('-g') };
  } catch {
    return undefined;
  }
}
