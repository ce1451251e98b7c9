import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { frozenMigrations } from './frozen-migrations.ts';

const folder = resolve('services/database/migrations');

/** Every file whose text a migration depends on; the index only lists them. */
const files = readdirSync(folder)
  .filter((file) => file !== 'index.ts')
  .toSorted();

const hashOf = (file: string) =>
  createHash('sha256')
    .update(readFileSync(resolve(folder, file)))
    .digest('hex');

test('a migration that landed is frozen: databases have run its text, and would never run a change of it', () => {
  const changed = files.filter((file) => (frozenMigrations[file] ?? hashOf(file)) !== hashOf(file));
  expect(changed).toEqual([]);
});

test('a new migration is frozen as it lands: add the lines shown here to frozen-migrations.ts', () => {
  const missing = files.filter((file) => !(file in frozenMigrations));
  expect(missing.map((file) => `'${file}': '${hashOf(file)}',`)).toEqual([]);
});

test('a migration that landed stays: databases that ran it would refuse to go on without it', () => {
  expect(Object.keys(frozenMigrations).filter((file) => !files.includes(file))).toEqual([]);
});
