import { existsSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { NODE_BINARY } from './installed.mjs';

/**
 * Shows what an install waits for, with numbers that move. On a terminal the line is rewritten in place; elsewhere (CI, a
 * pipe) a new line every five seconds says that the silence is work.
 */
export function showProgress(title, paths) {
  const startedAt = Date.now();
  const freeAtStart = freeBytes();
  const missing = new Set(paths);
  const isTerminal = process.stdout.isTTY === true;
  const seconds = () => `${Math.round((Date.now() - startedAt) / 1000)} s`;
  // Others free space meanwhile, and npm its own temporary files: what was written does not become less by that.
  let writtenBytes = 0;
  const look = () => {
    writtenBytes = Math.max(writtenBytes, freeAtStart - freeBytes());
    // npm makes the folders first and fills them later: a package is there with its last word, package.json.
    for (const path of missing) if (existsSync(join(path, 'package.json'))) missing.delete(path);
    return describeInstall({
      wanted: paths.length,
      unpacked: paths.length - missing.size,
      writtenBytes,
      hasNode: existsSync(NODE_BINARY),
    });
  };
  const write = (text) => process.stdout.write(isTerminal ? `\r\u001b[2K${text}` : `${text}\n`);
  write(`${title} (once per clone, a minute or two; about 600 MB here and as much in npm's cache)`);
  const timer = setInterval(() => write(`${title}: ${look()} (${seconds()})`), isTerminal ? 250 : 5_000);
  return {
    end() {
      clearInterval(timer);
      write(`${title}: ended after ${seconds()}${isTerminal ? '\n' : ''}`);
    },
  };
}

/**
 * What is waited for now. A few optional packages never come; the install scripts that run after the unpacking fetch a
 * whole Node, of which nothing can be seen here but the disk that fills.
 */
export function describeInstall({ wanted, unpacked, writtenBytes, hasNode }) {
  const written = `${Math.round(writtenBytes / 1e6)} MB written`;
  if (wanted - unpacked > wanted / 50) return `${unpacked} of ${wanted} packages unpacked, ${written}`;
  return hasNode
    ? `packages and Node 24 are there, the last install scripts run, ${written}`
    : `packages are there, fetching Node 24 (120 MB), ${written}`;
}

/** Of the whole disk: what others write meanwhile counts too, and reading it costs nothing, unlike adding up 40,000 files. */
function freeBytes() {
  try {
    const { bavail, bsize } = statfsSync('.');
    return bavail * bsize;
  } catch {
    return 0;
  }
}
