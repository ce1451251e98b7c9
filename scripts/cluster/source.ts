import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What an image is made of. */
export interface Source {
  version: string;
  /** The commit, with `-dirty` when the work tree differs from it. */
  revision: string;
  /** Time of the commit: what two builds of the same source must agree on cannot be the time of the build. */
  epochSeconds: number;
}

export function describeSource(): Source {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  const dirty = git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '-dirty';
  return {
    version,
    revision: `${git('rev-parse', 'HEAD')}${dirty}`,
    epochSeconds: Number(git('log', '-1', '--format=%ct')),
  };
}
