import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createContext } from '../../../services/admin/context.ts';
import { parseCommandLine } from '../../../services/admin/program.ts';
import { Unreachable, UsageError } from '../../../services/admin/refusals.ts';
import { findApiKey } from '../../../services/database/queries/api-keys.ts';
import { parseKeyring } from '../../../services/domain/recipients/keyring.ts';
import { authenticate } from '../../../services/domain/senders/authenticate.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

let database: TestDatabase;
let folder: string;
let env: Record<string, string>;
beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'largesse-operator-'));
  env = { DATABASE_URL: database.url, KEYRING_FILE: join(folder, 'keyring.json') };
  await admin('create-keyring', '--file', join(folder, 'keyring.json'));
}, 60_000);
afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true });
});

// What the tests look into; the names are those of the answers, and each command has its own.
// biome-ignore lint/suspicious/noExplicitAny: an answer is read as the script reads it that a person writes around it
type Json = Record<string, any>;

/** In this process; exit codes and streams are those of the program's own tests. */
async function admin(...args: string[]): Promise<Json> {
  return await inEnvironment({}, ...args);
}

async function inEnvironment(change: Record<string, string>, ...args: string[]): Promise<Json> {
  const asked = parseCommandLine([...args, '--json']);
  if (asked.kind !== 'run') throw new Error('nothing to run');
  const { json } = await asked.run(createContext({ ...env, ...change }));
  return JSON.parse(JSON.stringify(json));
}

/** As a Job runs it. `ended`: its exit code and what it said on standard error. */
function spawned(args: string[], change: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['services/admin/main.ts', ...args], {
    cwd: new URL('../../..', import.meta.url).pathname,
    env: { PATH: process.env['PATH'] ?? '', ...env, ...change },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  return { child, ended: once(child, 'close').then(([code]) => [code, said]) };
}

async function refused(asked: Promise<unknown>, said: string): Promise<void> {
  await expect(asked).rejects.toBeInstanceOf(UsageError);
  await expect(asked).rejects.toThrow(said);
}

async function audited(subjectId: string): Promise<string[]> {
  const { rows } = await database.pool.query(
    `select action from audit_records where subject_id = $1 and actor_kind = 'admin' order by created_at, action`,
    [subjectId],
  );
  return rows.map(({ action }) => action);
}

async function uuidOf(table: 'senders' | 'api_keys', column: string, value: string): Promise<string> {
  const { rows } = await database.pool.query(`select id from ${table} where ${column} = $1`, [value]);
  return rows[0].id;
}

async function use(key: string) {
  const keyring = parseKeyring(await readFile(join(folder, 'keyring.json'), 'utf8'));
  const findKey = (hash: Buffer) => findApiKey(database.db, hash);
  return await authenticate({ findKey, renewHash: async () => undefined, keyring }, key);
}

describe('senders', () => {
  test('are listed in pages, renamed, suspended and activated; every change is on record, a repetition is not', async () => {
    const { id } = await admin('create-sender', '--name', 'Before');
    const { id: other } = await admin('create-sender', '--name', 'Other');
    const key = (await admin('create-key', '--sender', id, '--roles', 'sender'))['key'];
    expect(await admin('rename-sender', '--sender', id, '--name', 'After')).toMatchObject({
      id,
      name: 'After',
      status: 'active',
    });
    for (let twice = 0; twice < 2; twice += 1) {
      expect(await admin('suspend-sender', '--sender', id)).toMatchObject({ id, status: 'suspended' });
    }
    await expect(use(key)).rejects.toThrow('suspended');
    expect(await admin('list-senders', '--status', 'suspended')).toMatchObject({
      senders: [{ id }],
      next: null,
    });
    expect(await admin('activate-sender', '--sender', id)).toMatchObject({ status: 'active' });
    expect(await use(key)).toMatchObject({ senderId: id });
    const first = await admin('list-senders', '--limit', '1');
    expect(first).toMatchObject({ senders: [{ id: other, name: 'Other' }], next: other });
    expect(await admin('list-senders', '--limit', '1', '--after', other)).toMatchObject({
      senders: [{ id, name: 'After', kind: 'system', created_at: expect.any(String) }],
      next: null,
    });
    const record = await audited(await uuidOf('senders', 'name', 'After'));
    expect(record).toEqual(['sender.created', 'sender.renamed', 'sender.suspended', 'sender.activated']);
  }, 90_000);

  test.each([['rename-sender', '--name', 'x'], ['suspend-sender'], ['activate-sender']])(
    '%s is refused when there is no such sender',
    async (name, ...more) => {
      const asked = admin(name, '--sender', 'sen_01k3v5j8y6e4q9s7w2x0z1a2b3', ...more);
      await refused(asked, 'there is no sender with this id');
    },
  );
});

describe('keys', () => {
  test('are rotated: the new one has all that the old one had, and both work for the grace period', async () => {
    const { id: sender } = await admin('create-sender', '--name', 'Rotating');
    const options = ['--roles', 'sender,auditor', '--scopes', 'gifts:read', '--name', 'till'];
    const old = await admin('create-key', '--sender', sender, ...options);
    const made = await admin('rotate-key', '--prefix', old['prefix'], '--grace', '1h');
    expect(made).toMatchObject({ sender_id: sender, replaces: { prefix: old['prefix'] } });
    const wanted = { senderId: sender, roles: ['sender', 'auditor'], scopes: ['gifts:read'] };
    expect(await use(old['key'])).toMatchObject(wanted);
    expect(await use(made['key'])).toMatchObject(wanted);
    const { keys } = await admin('list-keys', '--sender', sender);
    expect(keys).toMatchObject([
      { prefix: made['prefix'], name: 'till', status: 'active', expires_at: null, lookup_version: 1 },
      { prefix: old['prefix'], name: 'till', status: 'active', expires_at: expect.any(String) },
    ]);
    expect(JSON.stringify(keys)).not.toContain(String(made['key']).slice(17));
    const last = await admin('rotate-key', '--prefix', made['prefix'], '--grace', '0');
    await expect(use(made['key'])).rejects.toThrow('expired');
    expect(await use(last['key'])).toMatchObject(wanted);
    await refused(admin('rotate-key', '--prefix', made['prefix']), 'that is in use');
    expect(await audited(await uuidOf('api_keys', 'prefix', made['prefix']))).toEqual([
      'api_key.created',
      'api_key.rotated',
    ]);
  }, 90_000);

  test('are revoked, on record once', async () => {
    const { id: sender } = await admin('create-sender', '--name', 'Leaving');
    const { prefix = '' } = await admin('create-key', '--sender', sender, '--roles', 'sender');
    const first = await admin('revoke-key', '--prefix', prefix);
    expect(await admin('revoke-key', '--prefix', prefix)).toEqual(first);
    expect(await audited(await uuidOf('api_keys', 'prefix', prefix))).toEqual([
      'api_key.created',
      'api_key.revoked',
    ]);
  }, 60_000);

  test('a key that nobody took when it was printed is told by the exit code', async () => {
    const { id: sender } = await admin('create-sender', '--name', 'Deaf');
    const { child, ended } = spawned(['create-key', '--sender', sender, '--roles', 'sender']);
    child.stdout.destroy();
    expect(await ended).toEqual([1, 'largesse admin: it was done, but nobody took what it printed\n']);
  }, 60_000);
});

describe('what does not exist', () => {
  const nobody = 'sen_01k3v5j8y6e4q9s7w2x0z1a2b3';
  test.each([
    ['a sender whose keys are listed', ['list-keys', '--sender', nobody], 'there is no sender with this id'],
    [
      'a sender whose balances are listed',
      ['list-funding-accounts', '--sender', nobody],
      'there is no sender with this id',
    ],
    [
      'a parked message',
      ['release-parked', '--id', '987654321'],
      'there is no parked message in row 987654321',
    ],
  ])('%s is refused, and not answered by an empty list', async (_what, args, said) => {
    await refused(admin(...args), said);
  });
});

test('a scope that no role of a key allows is refused, with the role that does', async () => {
  const { id } = await admin('create-sender', '--name', 'Scoped');
  const make = (scopes: string) =>
    admin('create-key', '--sender', id, '--roles', 'sender', '--scopes', scopes);
  await refused(make('gifts:read,queues:read'), 'queues:read needs the role operator');
  expect(await make('gifts:read')).toMatchObject({ scopes: ['gifts:read'] });
});

test('an id is shown as the API writes it and as the database keeps it, both ways', async () => {
  const { id } = await admin('create-sender', '--name', 'Shown');
  const uuid = await uuidOf('senders', 'name', 'Shown');
  expect(await admin('show-id', '--id', id)).toEqual({ id, uuid });
  expect(await admin('show-id', '--id', uuid.toUpperCase(), '--prefix', 'sen')).toEqual({ id, uuid });
  await refused(admin('show-id', '--id', 'gift 7'), '--id is neither');
  await refused(admin('show-id', '--id', id, '--prefix', 'gft'), '--id is not one of gft_');
});

describe('money', () => {
  test('the same key credits once, however often the command is repeated', async () => {
    const { id: sender } = await admin('create-sender', '--name', 'Funded');
    const topUp = (amount: string) => [
      'top-up',
      '--sender',
      sender,
      '--amount',
      amount,
      '--currency',
      'EUR',
      '--idempotency-key',
      'invoice 7',
    ];
    const first = await admin(...topUp('2500'));
    expect(first).toMatchObject({ value: { amount: 2500, currency: 'EUR' }, replayed: false });
    expect(await admin(...topUp('2500'))).toEqual({ ...first, replayed: true });
    await refused(admin(...topUp('2600')), 'a different top-up');
    expect(await admin('list-funding-accounts', '--sender', sender)).toMatchObject({
      funding_accounts: [{ currency: 'EUR', available: 2500, reserved: 0 }],
      next: null,
    });
  }, 90_000);
});

describe('messages', () => {
  test('parked ones are listed and released, one by one or all; dead letters are listed', async () => {
    await database.pool.query(`
      insert into outbox (queue, body, available_at, parked_reason)
      select 'gifts', '{}', now(), reason from unnest(array['oversize', 'oversize', 'InvalidMessageContents']) as reason`);
    const { parked, next } = await admin('list-parked', '--limit', '2');
    expect(parked).toMatchObject([{ reason: 'oversize', queue: 'gifts', subject: null }, {}]);
    expect(await admin('list-parked', '--after', next)).toMatchObject({ parked: [{}], next: null });
    const released = await admin('release-parked', '--id', parked[0]?.id ?? '');
    expect(released).toMatchObject({ released: [{ id: parked[0]?.id }] });
    expect(await admin('release-parked', '--reason', 'oversize')).toMatchObject({ released: [{}] });
    expect(await admin('release-parked', '--all')).toMatchObject({ released: [{}] });
    expect(await admin('release-parked', '--all')).toEqual({ released: [] });
    await refused(admin('release-parked'), 'say which');
    expect(await admin('list-dead-letters', '--verdict', 'quarantine')).toEqual({
      dead_letters: [],
      next: null,
    });
  }, 90_000);
});

describe('the keyring', () => {
  test.each([
    ['is not there', null],
    ['is no JSON', '{'],
    ['is JSON and no keyring', '[]'],
  ])('a file that %s is one sentence with its name', async (_what, text) => {
    const file = join(folder, 'unusable.json');
    await rm(file, { force: true });
    if (text !== null) await writeFile(file, text);
    const sentence = `${file} can not be used as a keyring`;
    await refused(admin('show-keyring', '--file', file), sentence);
    await refused(admin('add-lookup-key', '--file', file), sentence);
  });

  test('its lookup key is rotated in steps, over a file that only its owner reads', async () => {
    const file = join(folder, 'rotated.json');
    await copyFile(join(folder, 'keyring.json'), file);
    const steps = [
      [
        ['add-lookup-key'],
        [
          ['1', 'current'],
          ['2', 'known'],
        ],
      ],
      [
        ['use-lookup-key', '--version', '2'],
        [
          ['1', 'known'],
          ['2', 'current'],
        ],
      ],
      [
        ['retire-lookup-key', '--version', '1'],
        [
          ['1', 'retired'],
          ['2', 'current'],
        ],
      ],
    ] as const;
    for (const [args, uses] of steps) {
      const answer = await admin(...args, '--file', file);
      const lookup = uses.map(([version, use]) => ({ version: Number(version), use }));
      expect(answer).toEqual({ file, current: 'k1', keys: ['k1'], lookup });
      expect(await admin('show-keyring', '--file', file)).toEqual(answer);
      expect((await stat(file)).mode & 0o777).toBe(0o600);
    }
    const before = await readFile(file, 'utf8');
    await refused(admin('use-lookup-key', '--file', file, '--version', '1'), 'version 1 is retired');
    expect(await readFile(file, 'utf8')).toBe(before);
  }, 90_000);
});

describe('what can not be reached is one sentence that names the variable, without the driver or the password', () => {
  const wrong = (change: (url: URL) => void) => {
    const url = new URL(database.url);
    change(url);
    return url.href;
  };
  test.each<[string, (url: URL) => void, RegExp]>([
    ['password', (url) => (url.password = 'hunter2'), /refuses the password of user "\w+"/],
    [
      'user',
      (url) => (url.username = 'nobody'),
      /refuses the password of user "nobody"|does not let user "nobody" in/,
    ],
    ['database', (url) => (url.pathname = '/nowhere'), /has no database "nowhere"/],
    ['port', (url) => (url.port = '1'), /nothing listens at/],
    [
      'host',
      (url) => {
        url.hostname = 'nowhere.invalid';
        url.searchParams.set('sslmode', 'disable');
      },
      /"nowhere.invalid"/,
    ],
  ])('a wrong %s', async (_, change, said) => {
    const asked = inEnvironment({ DATABASE_URL: wrong(change) }, 'list-senders');
    const { message } = await asked.then(
      () => new Error('it was reached'),
      (error: unknown) => error as Error,
    );
    expect(message).toMatch(/^DATABASE_URL: [^\n]+$/);
    expect(message).toMatch(said);
    expect(message).not.toContain('hunter2');
    await expect(asked).rejects.toBeInstanceOf(Unreachable);
  });

  test('SQS that is not there, and credentials that are not set', async () => {
    const sqs = {
      AWS_REGION: 'eu-central-1',
      AWS_ENDPOINT_URL_SQS: 'http://127.0.0.1:1',
      AWS_EC2_METADATA_DISABLED: 'true',
    };
    const provision = (more: Record<string, string>) => spawned(['provision'], { ...sqs, ...more });
    expect(await provision({ HOME: folder }).ended).toEqual([
      1,
      expect.stringMatching(/^largesse admin: AWS_ACCESS_KEY_ID: there are no AWS credentials[^\n]+\n$/),
    ]);
    expect(await provision({ AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'x' }).ended).toEqual([
      1,
      'largesse admin: AWS_ENDPOINT_URL_SQS: nothing listens at http://127.0.0.1:1\n',
    ]);
  }, 60_000);
});
