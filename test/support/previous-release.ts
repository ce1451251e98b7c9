import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const files = ['services', 'package.json', 'package-lock.json', '.npmrc'];
const run = promisify(execFile);
const root = resolve(import.meta.dirname, '../..');

/** The commit before this release: its processes run beside ours during every upgrade. */
export const previousRelease = '3f2c4f123898ba5d9e112d0ddf3e1de8fbba62b6';

/**
 * A folder with the sources of the release before this one, out of our own history, and the dependencies of its own lock
 * file, fetched at the first use. It lies outside of node_modules, where Node runs no TypeScript.
 * @throws Error where the clone has no history: nothing could be tested then
 */
export async function previousReleaseFolder(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'largesse-previous-'));
  const archive = join(folder, 'sources.tar');
  await run('git', ['archive', '--output', archive, previousRelease, ...files], { cwd: root });
  await run('tar', ['-xf', archive, '-C', folder]);
  await symlink(await dependencies(folder), join(folder, 'node_modules'));
  return { folder, remove: () => rm(folder, { recursive: true }) };
}

async function dependencies(sources: string): Promise<string> {
  const cache = join(root, 'node_modules/.cache/previous-release', previousRelease);
  const complete = join(cache, 'complete');
  if (existsSync(complete)) return join(cache, 'node_modules');
  await mkdir(cache, { recursive: true });
  for (const file of files.slice(1)) await copyFile(join(sources, file), join(cache, file));
  const install = ['ci', '--omit=dev', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  await run('npm', install, { cwd: cache });
  // Written last: an install that was cut short must not be taken for one.
  await writeFile(complete, previousRelease);
  return join(cache, 'node_modules');
}
