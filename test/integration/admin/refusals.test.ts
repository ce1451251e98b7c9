import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { createContext } from '../../../services/admin/context.ts';
import { parseCommandLine } from '../../../services/admin/program.ts';
import { Unreachable, UsageError } from '../../../services/admin/refusals.ts';
import { toUuid } from '../../../services/domain/ids.ts';
import { createSender } from '../../../services/domain/senders/create-sender.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

let database: TestDatabase;
let folder: string;
let env: Record<string, string>;
beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'largesse-refusals-'));
  env = { DATABASE_URL: database.url, KEYRING_FILE: join(folder, 'keyring.json') };
  await run(['create-keyring', '--file', join(folder, 'keyring.json')]);
});
afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true });
});

async function run(args: string[], change: Record<string, string> = {}) {
  const asked = parseCommandLine(args);
  if (asked.kind === 'show') throw new Error(asked.text);
  return await asked.run(createContext({ ...env, ...change }));
}

/** What it is refused with, in one line. */
async function refusal(args: string[], change: Record<string, string> = {}): Promise<Error> {
  try {
    await run(args, change);
  } catch (error) {
    expect((error as Error).message).toMatch(/^[^\n]+$/);
    return error as Error;
  }
  throw new Error('it was not refused');
}

describe('1 and one sentence: what a server refuses is for whoever runs it to mend', () => {
  const withOptions = (options: string) => ({
    DATABASE_URL: `${database.url}?options=${encodeURIComponent(options)}`,
  });
  const create = ['create-sender', '--name', 'Ada'];
  test.each<[string, string[], string, RegExp]>([
    ['a schema that is not there', create, '-c search_path=pg_catalog', /run admin migrate/],
    ['a schema that is not there, read', ['list-senders'], '-c search_path=pg_catalog', /run admin migrate/],
    ['a node that only reads', create, '-c default_transaction_read_only=on', /only reads/],
    [
      'a migration at a node that only reads',
      ['migrate'],
      '-c default_transaction_read_only=on',
      /only reads/,
    ],
    ['rights that the user has not', create, '-c role=pg_monitor', /may not do this/],
  ])('%s', async (_what, args, options, said) => {
    const error = await refusal(args, withOptions(options));
    expect(error).toBeInstanceOf(Unreachable);
    expect(error.message).toMatch(said);
    expect(error.message).toMatch(/^DATABASE_URL: /);
  });

  test('a row that somebody else holds', async () => {
    const id = await createSender(database.db, { name: 'Ada' });
    const holder = new pg.Client({ connectionString: database.url });
    await holder.connect();
    await holder.query('begin');
    await holder.query('select 1 from senders where id = $1 for update', [toUuid(id)]);
    const error = await refusal(
      ['rename-sender', '--sender', id, '--name', 'Grace'],
      withOptions('-c lock_timeout=200'),
    );
    await holder.end();
    expect(error).toBeInstanceOf(Unreachable);
    expect(error.message).toContain('somebody else holds what this needs');
  });

  test('a key of a top-up that is still running', async () => {
    const id = await createSender(database.db, { name: 'Ada' });
    const holder = new pg.Client({ connectionString: database.url });
    await holder.connect();
    await holder.query('select pg_advisory_lock(hashtextextended($1, 0))', [`${toUuid(id)}:admin:invoice-1`]);
    const given = ['--sender', id, '--amount', '100', '--currency', 'EUR', '--idempotency-key', 'invoice-1'];
    const error = await refusal(['top-up', ...given]);
    await holder.end();
    expect(error).toBeInstanceOf(Unreachable);
    expect(error.message).toContain('still running');
    expect((await run(['top-up', ...given])).json).toMatchObject({ replayed: false });
  });
});

describe('2 and one sentence: a file that can not be had', () => {
  test.each<[string, (file: string) => string[], string, RegExp]>([
    [
      'a folder that is not there',
      (file) => ['create-keyring', '--file', file],
      'no/k.json',
      /its folder is not \(ENOENT\)/,
    ],
    [
      'a folder in the place of a file',
      (file) => ['show-keyring', '--file', file],
      '.',
      /is a folder \(EISDIR\)/,
    ],
    [
      'a file in the place of a folder',
      (file) => ['create-keyring', '--file', file],
      'keyring.json/k',
      /ENOTDIR/,
    ],
    ['an existing file', (file) => ['create-keyring', '--file', file], 'keyring.json', /exists already/],
    [
      'a file that is no keyring',
      (file) => ['add-lookup-key', '--file', file],
      'other.json',
      /"?current"?: is missing/,
    ],
  ])('%s', async (_what, args, name, said) => {
    await writeFile(join(folder, 'other.json'), '{}');
    const error = await refusal(args(join(folder, name)));
    expect(error).toBeInstanceOf(UsageError);
    expect(error.message).toMatch(said);
    expect(error.message).not.toMatch(/expected|received|invalid input/i);
  });

  test('a folder that nobody may write to leaves the keyring as it was', async () => {
    const closed = join(folder, 'closed');
    await mkdir(closed);
    const file = join(closed, 'keyring.json');
    await run(['create-keyring', '--file', file]);
    await chmod(closed, 0o500);
    const asked = run(['add-lookup-key', '--file', file]);
    // A superuser may write there all the same.
    if (process.getuid?.() === 0) await asked;
    else await expect(asked).rejects.toThrow(/can not be written/);
    await chmod(closed, 0o700);
  });
});

describe('2 and one sentence: what can be read in two ways is not guessed', () => {
  const key = (...more: string[]) => ['create-key', '--sender', 'sen_01k3v5j8y6e4q9s7w2x0z1a2b3', ...more];
  test.each<[string, string[], RegExp]>([
    ['an option that stands twice', key('--roles', 'sender', '--roles', 'operator'), /--roles stands twice/],
    ['no role at all', key('--roles', ''), /--roles needs at least one of sender/],
    ['a day before the month, or after it', key('--roles', 'sender', '--expires-at', '1/2/2030'), /RFC 3339/],
    ['a number that may be a year', key('--roles', 'sender', '--expires-at', '5000'), /RFC 3339/],
    ['a day that is none', key('--roles', 'sender', '--expires-at', '2030-02-31T00:00:00Z'), /RFC 3339/],
    ['a time of no zone', key('--roles', 'sender', '--expires-at', '2030-02-01T00:00:00'), /RFC 3339/],
    ['no file', ['show-keyring', '--file', ''], /--file is empty/],
  ])('%s', async (_what, args, said) => {
    const error = await refusal(args);
    expect(error).toBeInstanceOf(UsageError);
    expect(error.message).toMatch(said);
  });
});
