import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const STAMP = 'node_modules/.largesse-stamp';
export const NODE_BINARY = 'node_modules/node/bin/node';

/** Whether node_modules is what package-lock.json asks for, cheaply: a stamp first, then npm's own record. */
export function isInstalled() {
  if (!existsSync(NODE_BINARY)) return false;
  const wanted = stampOf();
  if (readIfThere(STAMP) === wanted) return true;
  // An install made by hand (npm install) leaves no stamp of ours: believe npm's record of what it put there.
  const record = readIfThere('node_modules/.package-lock.json');
  if (record === undefined) return false;
  return (
    missingPackages(JSON.parse(readFileSync('package-lock.json', 'utf8')), JSON.parse(record)).length === 0
  );
}

export function writeStamp() {
  writeFileSync(STAMP, stampOf());
}

/**
 * Paths of packages that the lock file asks for and the record of installed ones lacks or has in another version.
 * Optional ones may lack: they are for other platforms.
 */
export function missingPackages(lock, record) {
  return Object.entries(lock.packages)
    .filter(([path]) => path !== '')
    .filter(([path, wanted]) => {
      const there = record.packages[path];
      if (there === undefined) return !(wanted.optional || wanted.devOptional);
      return there.version !== wanted.version || there.integrity !== wanted.integrity;
    })
    .map(([path]) => path);
}

/** Paths of the packages that npm will unpack here: those for other systems and processors never come. */
export function packagesForThisMachine(lock, { platform, arch } = process) {
  const allows = (list, value) =>
    list === undefined ||
    (list.some((entry) => !entry.startsWith('!')) ? list.includes(value) : !list.includes(`!${value}`));
  return (
    Object.entries(lock.packages)
      .filter(([path, wanted]) => path !== '' && allows(wanted.os, platform) && allows(wanted.cpu, arch))
      // Of two C libraries one is here, and asking which costs more than a number that is right.
      .filter(([, wanted]) => !wanted.libc?.includes('musl'))
      .map(([path]) => path)
  );
}

function stampOf() {
  const hash = createHash('sha256').update(readFileSync('package-lock.json'));
  return `${process.platform}-${process.arch} ${hash.digest('hex')}\n`;
}

function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}
