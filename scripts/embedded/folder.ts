import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Everything that `npm start` keeps, relative to the clone: removing this folder is a fresh start. */
export const FOLDER = '.largesse';
export const CONTROL_SOCKET = join(FOLDER, 'control.sock');
export const ENVIRONMENT_FILE = join(FOLDER, 'environment');
export const KEYRING_FILE = join(FOLDER, 'keyring.json');

/** 0711, not 0700: as root, PostgreSQL runs as another user and must pass through to its data. Files are 0600. */
export function makeFolder(): void {
  mkdirSync(FOLDER, { recursive: true });
  chmodSync(FOLDER, 0o711);
}

export function readJson<T>(name: string): T | undefined {
  const path = join(FOLDER, name);
  if (!existsSync(path)) return undefined;
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}

/** Written aside and renamed: a kill in the middle leaves the old file whole. */
export function writeJson(name: string, value: unknown): void {
  writePrivate(join(FOLDER, name), `${JSON.stringify(value, null, 2)}\n`);
}

export function writePrivate(path: string, text: string): void {
  const aside = `${path}.${process.pid}`;
  writeFileSync(aside, text, { mode: 0o600 });
  renameSync(aside, path);
}
