import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What the image is made of, as .dockerignore lets it through. */
const SOURCES = [
  ...['Dockerfile', '.dockerignore', '.npmrc', 'LICENSE', 'package.json', 'package-lock.json'],
  ...['scripts/build.ts', 'services'],
];

/** The sources of this clone elsewhere, with a text of one file exchanged. Remove it with `remove()`. */
export function changedClone(
  file: string,
  text: string,
  other: string,
): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'largesse-changed-'));
  for (const source of SOURCES) cpSync(source, join(folder, source), { recursive: true });
  const before = readFileSync(join(folder, file), 'utf8');
  if (!before.includes(text)) throw new Error(`${file} has no ${text}`);
  writeFileSync(join(folder, file), before.replace(text, other));
  return { folder, remove: () => rmSync(folder, { recursive: true }) };
}
