import { existsSync } from 'node:fs';

/**
 * Shows how many of the wanted folders exist by now. On a terminal the line is rewritten in place; elsewhere (CI, a
 * pipe) a new line every five seconds says that the silence is work.
 */
export function showProgress(title, paths) {
  const startedAt = Date.now();
  const missing = new Set(paths);
  const isTerminal = process.stdout.isTTY === true;
  const seconds = () => `${Math.round((Date.now() - startedAt) / 1000)} s`;
  const describe = () => {
    for (const path of missing) if (existsSync(path)) missing.delete(path);
    const unpacked = `${paths.length - missing.size} of ${paths.length} packages`;
    // Unpacking takes seconds; the install scripts after it fetch a whole Node. A few optional packages never come.
    return missing.size > paths.length / 50 ? unpacked : 'packages are there, now fetching Node 24';
  };
  const write = (text) => process.stdout.write(isTerminal ? `\r\u001b[2K${text}` : `${text}\n`);
  write(`${title} (once per clone, about a minute)`);
  const timer = setInterval(() => write(`${title}: ${describe()} (${seconds()})`), isTerminal ? 250 : 5_000);
  return {
    end() {
      clearInterval(timer);
      write(`${title}: ended after ${seconds()}${isTerminal ? '\n' : ''}`);
    },
  };
}
