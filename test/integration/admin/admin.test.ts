import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { findApiKey } from '../../../services/database/queries/api-keys.ts';
import { parseKeyring } from '../../../services/domain/recipients/keyring.ts';
import { authenticate } from '../../../services/domain/senders/authenticate.ts';
import {
  createEmptyDatabase,
  createTestDatabase,
  serverUrl,
  type TestDatabase,
  withDatabaseName,
} from '../../support/database.ts';
import { type Emulator, startEmulator } from '../../support/emulator.ts';
import { uniqueQueueName } from '../../support/queue-pair.ts';

let database: TestDatabase;
let folder: string;
let env: Record<string, string>;
beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'largesse-admin-'));
  env = { DATABASE_URL: database.url, KEYRING_FILE: join(folder, 'keyring.json') };
  await admin(['create-keyring', '--file', join(folder, 'keyring.json')]);
});
afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true });
});

type Outcome = { code: number; stdout: string; stderr: string };

/** Runs the program as a Job does, with nothing but its own environment. */
function admin(args: string[], change: Record<string, string> = {}): Promise<Outcome> {
  const options = {
    cwd: new URL('../../..', import.meta.url).pathname,
    env: { PATH: process.env['PATH'] ?? '', ...env, ...change },
  };
  return new Promise((resolve) => {
    execFile(process.execPath, ['services/admin/main.ts', ...args], options, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout: stdout.trim(), stderr }),
    );
  });
}

async function emptyDatabase(): Promise<string> {
  const name = `largesse_admin_${randomBytes(4).toString('hex')}`;
  await createEmptyDatabase(serverUrl(), name);
  return withDatabaseName(serverUrl(), name);
}

async function inDatabase(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(text);
  await client.end();
  return rows;
}

describe('migrate', () => {
  test('0 on an empty database, and 0 again when there is nothing to do', async () => {
    const url = await emptyDatabase();
    const first = await admin(['migrate'], { DATABASE_URL: url });
    expect([first.code, first.stdout]).toEqual([
      0,
      expect.stringMatching(/^migrated: 2026-11-21-001-senders, /),
    ]);
    const second = await admin(['migrate'], { DATABASE_URL: url });
    expect([second.code, second.stdout]).toEqual([0, 'the schema is up to date']);
  });

  test('P56: a migration that fails exits non-zero, names itself, leaves nothing behind, and the next run goes on with it', async () => {
    const url = await emptyDatabase();
    await inDatabase(url, 'create table gifts (somebody_elses text)');
    const failed = await admin(['migrate'], { DATABASE_URL: url });
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain('migration 2026-11-21-003-gifts failed and was rolled back');
    expect(failed.stderr).toContain('relation "gifts" already exists');
    // Those before it stand; of it there is nothing, the table that it makes first included.
    const found = `select to_regclass('senders')::text as before, to_regclass('recipients')::text as of_it`;
    expect(await inDatabase(url, found)).toEqual([{ before: 'senders', of_it: null }]);
    await inDatabase(url, 'drop table gifts');
    const next = await admin(['migrate'], { DATABASE_URL: url });
    expect([next.code, next.stdout]).toEqual([0, expect.stringMatching(/^migrated: 2026-11-21-003-gifts, /)]);
  });

  test('P56: so does a database that is not there', async () => {
    const failed = await admin(['migrate'], { DATABASE_URL: 'postgres://x:x@127.0.0.1:1/none' });
    expect([failed.code, failed.stderr]).toEqual([
      1,
      'largesse admin: DATABASE_URL: nothing listens at 127.0.0.1:1\n',
    ]);
  });

  describe('with QUEUE_PROVISIONING=create', () => {
    let emulator: Emulator;
    beforeAll(async () => {
      emulator = await startEmulator();
    });
    afterAll(() => emulator.stop());

    test('makes the queue and its dead-letter queue; 1 when SQS is not there', async () => {
      const name = uniqueQueueName('gifts');
      const sqs = {
        QUEUE_PROVISIONING: 'create',
        AWS_REGION: emulator.region,
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
        GIFTS_QUEUE_NAME: name,
      };
      const made = await admin(['migrate'], { ...sqs, AWS_ENDPOINT_URL_SQS: emulator.endpoint });
      expect([made.code, made.stdout]).toEqual([
        0,
        expect.stringContaining(`queues are ready: ${name}, ${name}-dlq`),
      ]);
      expect((await emulator.inspect(`${name}-dlq`)).ready).toEqual([]);
      const away = await admin(['migrate'], { ...sqs, AWS_ENDPOINT_URL_SQS: 'http://127.0.0.1:1' });
      expect(away.code).toBe(1);
    });
  });
});

describe('create-sender and create-key', () => {
  test('0 and a key that authenticates, with the roles and scopes that it was given', async () => {
    const sender = await admin(['create-sender', '--name', 'Human resources']);
    expect([sender.code, sender.stdout]).toEqual([0, expect.stringMatching(/^sen_[0-9a-z]{26}$/)]);
    const options = [
      '--roles',
      'operator,sender',
      '--scopes',
      'gifts:read',
      '--expires-at',
      '2099-01-01T00:00:00Z',
    ];
    const key = await admin(['create-key', '--sender', sender.stdout, ...options]);
    expect([key.code, key.stdout]).toEqual([0, expect.stringMatching(/^lgk_[0-9a-z]{12}_[\w-]{43}$/)]);
    const keyring = parseKeyring(await readFile(join(folder, 'keyring.json'), 'utf8'));
    const principal = await authenticate(
      {
        findKey: (hash) => findApiKey(database.db, hash),
        renewHash: async () => undefined,
        keyring,
      },
      key.stdout,
    );
    expect(principal).toMatchObject({
      senderId: sender.stdout,
      roles: ['sender', 'operator'],
      scopes: ['gifts:read'],
    });
  });

  test('2 and one sentence that says what to change, when the command makes no sense', async () => {
    const stranger = ['--sender', 'sen_01k3v5j8y6e4q9s7w2x0z1a2b3', '--roles', 'sender'];
    for (const [args, said] of [
      [['destroy'], 'there is no command "destroy"'],
      [['create-key', ...stranger], 'there is no sender with this id'],
    ] as const) {
      const { code, stderr, stdout } = await admin([...args]);
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toContain(said);
      expect(stderr.trim()).not.toContain('\n');
    }
  });
});

describe('revoke-key', () => {
  const create = async (): Promise<string> => {
    const sender = await admin(['create-sender', '--name', 'Leaver']);
    return (await admin(['create-key', '--sender', sender.stdout, '--roles', 'sender'])).stdout;
  };
  const use = async (key: string) => {
    const keyring = parseKeyring(await readFile(join(folder, 'keyring.json'), 'utf8'));
    return await authenticate(
      {
        findKey: (hash) => findApiKey(database.db, hash),
        renewHash: async () => undefined,
        keyring,
      },
      key,
    );
  };

  test('0 and that key is refused, no other; 0 and the same time when asked again', async () => {
    const leaked = await create();
    const other = await create();
    const prefix = leaked.slice(4, 16);
    const first = await admin(['revoke-key', '--prefix', prefix]);
    expect([first.code, first.stdout]).toEqual([
      0,
      expect.stringMatching(new RegExp(`^lgk_${prefix}_… is revoked since \\d{4}-`)),
    ]);
    await expect(use(leaked)).rejects.toThrow('the API key was revoked');
    expect(await use(other)).toMatchObject({ roles: ['sender'] });
    const again = await admin(['revoke-key', '--prefix', leaked]);
    expect([again.code, again.stdout]).toEqual([0, first.stdout]);
  });

  test('2 when there is no such key', async () => {
    const { code, stdout, stderr } = await admin(['revoke-key', '--prefix', '000000000000']);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('there is no key lgk_000000000000_…');
  });
});

describe('create-keyring', () => {
  test('0 and a file for its owner alone; never over an existing one', async () => {
    const file = join(folder, 'another.json');
    const made = await admin(['create-keyring', '--file', file, '--key-id', '2026']);
    expect([made.code, made.stdout]).toEqual([0, file]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const before = await readFile(file, 'utf8');
    expect(parseKeyring(before).currentKeyId).toBe('2026');
    const again = await admin(['create-keyring', '--file', file]);
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('exists already')]);
    expect(await readFile(file, 'utf8')).toBe(before);
  });
});
