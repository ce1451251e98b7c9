import { existsSync } from 'node:fs';

/**
 * Shows how many of the wanted folders exist by now. On a terminal the line is rewritten in place; elsewhere (CI, a
 * pipe) a new line every five seconds says that the silence is work.
 */
export function showProgress(title, paths) {
  const startedAt = Date.now();
  const missing = new Set(paths);
  const isTerminal = process.stdout.isTTY === true;
  const describe = () => {
    for (const path of missing) if (existsSync(path)) missing.delete(path);
    const seconds = Math.round((Date.now() - startedAt) / 1000);
    return `${title}: ${paths.length - missing.size} of ${paths.length} packages, ${seconds} s`;
  };
  const write = (text) => process.stdout.write(isTerminal ? `\r\u001b[2K${text}` : `${text}\n`);
  write(isTerminal ? title : `${title} (${paths.length} packages; this takes a minute on the first run)`);
  const timer = setInterval(() => write(describe()), isTerminal ? 250 : 5_000);
  return {
    end() {
      clearInterval(timer);
      // The packages of other platforms never come: the last line states the time alone.
      write(`${title}: done in ${Math.round((Date.now() - startedAt) / 1000)} s${isTerminal ? '\n' : ''}`);
    },
  };
}
