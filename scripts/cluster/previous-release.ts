import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { previousRelease } from '../../test/support/previous-release.ts';
import type { Source } from './source.ts';

/** What our Dockerfile copies. */
const FILES = ['services', 'scripts/build.ts', 'package.json', 'package-lock.json', '.npmrc', 'LICENSE'];

/** The release before this one, by the commit that the tests of processes use, too. @returns null where the clone has no history */
export function previousReleaseSource(): Source | null {
  const { status, stdout } = spawnSync('git', ['log', '-1', '--format=%ct', previousRelease], {
    encoding: 'utf8',
  });
  return status === 0
    ? { version: '0.0.0-previous', revision: previousRelease, epochSeconds: Number(stdout) }
    : null;
}

/** Its sources in a folder that lasts for as long as `use` does, with the Dockerfile of this clone. */
export function withPreviousRelease<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'largesse-previous-image-'));
  try {
    const archive = join(folder, 'sources.tar');
    execFileSync('git', ['archive', '--output', archive, previousRelease, ...FILES]);
    execFileSync('tar', ['-xf', archive, '-C', folder]);
    rmSync(archive);
    for (const file of ['Dockerfile', '.dockerignore']) copyFileSync(file, join(folder, file));
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
