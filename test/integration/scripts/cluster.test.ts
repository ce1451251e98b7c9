import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { findBinaries } from '../../../scripts/embedded/postgres-binaries.ts';
import { type ClusterOptions, createCluster } from '../../../scripts/embedded/postgres-cluster.ts';
import { findPostgresUser } from '../../../scripts/embedded/postgres-user.ts';
import { signalGroup } from '../../../scripts/embedded/processes.ts';
import { eventually } from '../../support/eventually.ts';

const umask = process.umask();
let folder: string;
let options: ClusterOptions;
/** The process group in which an initdb outlives its kill. */
let orphans: number | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'largesse-cluster-'));
  chmodSync(folder, 0o755);
  const user = findPostgresUser(() => undefined);
  options = {
    binaries: await findBinaries(user),
    data: join(folder, 'data'),
    user,
    superuser: 'postgres',
    password: 'secret',
  };
});

afterEach(() => {
  if (orphans !== undefined) signalGroup(orphans, 'SIGKILL');
  orphans = undefined;
  process.umask(umask);
  rmSync(folder, { recursive: true, force: true });
});

test('under a strict umask too, the server’s user can pass to its data and nobody else reads them', async () => {
  const data = join(folder, 'of/root/data');
  process.umask(0o077);
  await createCluster({ ...options, data });
  expect(modeOf(data)).toBe('700');
  expect(modeOf(dirname(data))).toBe('711');
  expect(modeOf(join(folder, 'of'))).toBe('711');
  expect(select7(data)).toContain('answer = "7"');
});

test('a kill in the middle leaves nothing that looks finished, and the next one is whole', async () => {
  await killInTheMiddle();
  expect(existsSync(join(options.data, 'PG_VERSION'))).toBe(false);
  await createCluster(options);
  expect(select7(options.data)).toContain('answer = "7"');
  expect(readdirSync(folder).sort()).toEqual(['bin', 'data']);
});

/** With an initdb that stays where the real one is for a second or two: PG_VERSION is written, and nothing else. */
async function killInTheMiddle(): Promise<void> {
  const binaries = join(folder, 'bin');
  mkdirSync(binaries);
  const initdb = '#!/bin/sh\necho 18 > "$2/PG_VERSION"\nexec sleep 600\n';
  writeFileSync(join(binaries, 'initdb'), initdb, { mode: 0o755 });
  const creating = createInAnotherProcess({ ...options, binaries });
  orphans = creating.pid;
  const ended = once(creating, 'exit');
  await eventually(() => {
    const files = readdirSync(folder, { recursive: true }) as string[];
    expect(files.filter((file) => file.endsWith('PG_VERSION'))).toHaveLength(1);
  });
  creating.kill('SIGKILL');
  await ended;
}

function createInAnotherProcess(cluster: ClusterOptions): ChildProcess {
  const module = resolve('scripts/embedded/postgres-cluster.ts');
  const code = `const { createCluster } = await import(${JSON.stringify(module)}); await createCluster(${JSON.stringify(cluster)});`;
  const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', code];
  return spawn(process.execPath, flags, { detached: true, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** What the server itself, on these data and for this one statement, answers. */
function select7(data: string): string {
  const flags = ['--single', '-D', data, 'postgres'];
  const input = 'select 7 as answer\n';
  return execFileSync(join(options.binaries, 'postgres'), flags, {
    ...options.user,
    cwd: data,
    input,
    encoding: 'utf8',
    // Its log.
    stdio: ['pipe', 'pipe', 'ignore'],
  });
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}
